"""Convert released checkpoints and weights to ours, and back.

    python scripts/convert_checkpoint.py to-ours gtaHR2csHR_hrda.pth hrda.ckpt experiment=hrda_gta
    python scripts/convert_checkpoint.py to-official hrda.ckpt official.pth
    python scripts/convert_checkpoint.py mit model.safetensors mit_b5.pth --layout official
    python scripts/convert_checkpoint.py to-transformers last.ckpt segformer
    python scripts/convert_checkpoint.py from-transformers segformer ours.ckpt experiment=source_only_gta

Every key is accounted for, or the command fails and lists what is left. Files are read without running code in them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.progress import announce

if TYPE_CHECKING:
    from omegaconf import DictConfig


@exit_on_errors()
def main() -> None:
    """Read the command line, convert, and say what was done."""
    arguments = _parser().parse_args()
    with announce(f"converting {arguments.source}"):
        done = _convert(arguments)
    print(done)


def _convert(arguments: argparse.Namespace) -> str:
    # Imported here, so that --help need not wait for torch.
    from hrda_lit.exchange.convert import checkpoint_to_official, checkpoint_to_ours, convert_mit
    from hrda_lit.exchange.segformer import checkpoint_to_transformers, read_shape, transformers_to_checkpoint

    if Path(arguments.source).resolve() == Path(arguments.target).resolve():
        raise ValueError(f"{arguments.target} would replace its own source; choose another target.")
    if arguments.command == "to-ours":
        config = _compose("hrda_gta", arguments.overrides)
        return checkpoint_to_ours(arguments.source, arguments.target, config)
    if arguments.command == "to-official":
        return checkpoint_to_official(arguments.source, arguments.target)
    if arguments.command == "to-transformers":
        return checkpoint_to_transformers(arguments.source, arguments.target, arguments.model)
    if arguments.command == "from-transformers":
        config = _compose("source_only_gta", [*read_shape(arguments.source), *arguments.overrides])
        return transformers_to_checkpoint(arguments.source, arguments.target, config)
    return convert_mit(arguments.source, arguments.target, arguments.layout)


def _compose(experiment: str, overrides: Sequence[str]) -> "DictConfig":
    """Compose what `hrda_lit.train` would train, an experiment by default."""
    from hrda_lit.api import compose

    named = any(override.lstrip("+").startswith("experiment=") for override in overrides)
    return compose(*([] if named else [f"experiment={experiment}"]), *overrides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    ours = commands.add_parser("to-ours", help="a released HRDA, DAFormer or MIC checkpoint becomes ours")
    official = commands.add_parser("to-official", help="a checkpoint of ours with a MiT encoder becomes official")
    mit = commands.add_parser("mit", help="MiT weights, official, Hugging Face or timm, change their layout")
    there = commands.add_parser("to-transformers", help="MiT with SegFormer's head becomes a folder of transformers")
    back = commands.add_parser("from-transformers", help="a SegformerForSemanticSegmentation becomes ours")
    for command in (ours, official, mit, there, back):
        command.add_argument("source", help="the file or folder to read")
        command.add_argument("target", help="the file or folder to write")
    ours.add_argument(
        "overrides",
        nargs="*",
        help="by what it was trained, as for hrda_lit.train: experiment=hrda_gta (the default), daformer_gta, mic_gta, "
        "and any other key",
    )
    back.add_argument("overrides", nargs="*", help="as for to-ours; experiment=source_only_gta is the default")
    there.add_argument("--model", choices=("student", "teacher"), help="instead of the one that training validated")
    mit.add_argument("--layout", choices=("official", "timm"), default="official", help="to write (default: official)")
    return parser


if __name__ == "__main__":
    main()
