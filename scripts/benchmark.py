"""Measure what a training step, the loader, whole images and a step's memory cost; no data are needed.

    python scripts/benchmark.py step                                         # the demo's network on this device
    python scripts/benchmark.py step experiment=hrda_gta --json before.json  # any keys of hrda_lit.train
    python scripts/benchmark.py step --crops 128 256 --batches 1 2 --picture cost.png
    python scripts/benchmark.py data --workers 0 1 2 --side 1052 1914        # PNG files of GTA5's size, made for it
    python scripts/benchmark.py infer --side 256 512                         # slide, whole and tta
    python scripts/benchmark.py memory experiment=hrda_gta                   # each memory option, by an estimate
    python scripts/benchmark.py --compare before.json after.json

A step runs eagerly, compiled and as graphs, one after the other, as far as the device and the version have them.
Encoders start from random weights, images are random. A step's time is that of one step with all its guards and the
teacher's moving, without loading.
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from hrda_lit.scripts.benchmarks import images, loader, memory, step
from hrda_lit.scripts.benchmarks.measure import Row, Tell, matrix_rate
from hrda_lit.scripts.benchmarks.report import Report, compared, device_name, draw, notes, table, versions
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from rich.console import Console

from hrda_lit.api import compose
from hrda_lit.pictures.figures import suffix_of, write_figure
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.table import show
from hrda_lit.system.text import PlainConsole

SMALL = "experiment=hrda_demo"
REAL_SIZES = "experiment=hrda_gta"


@exit_on_errors()
def main() -> None:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("step", "data", "infer", "memory"))
    parser.add_argument("keys", nargs="*", help=f"of hrda_lit.train (default: {SMALL}; for data {REAL_SIZES})")
    parser.add_argument("--steps", type=_count, default=8, help="repetitions that are timed (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="repetitions before (default: %(default)s)")
    parser.add_argument("--modes", nargs="+", choices=step.MODES, default=step.MODES, help="of a step (default: all)")
    parser.add_argument("--crops", nargs="+", type=_count, help="of a step, pixels a side (default: the config's)")
    parser.add_argument("--batches", nargs="+", type=_count, help="of a step (default: the config's)")
    parser.add_argument("--workers", nargs="+", type=int, default=[0], help="of the loader (default: %(default)s)")
    parser.add_argument("--side", nargs=2, type=_count, metavar=("HEIGHT", "WIDTH"), help="of source files or images")
    parser.add_argument("--json", type=Path, help="a file to write")
    parser.add_argument(
        "--picture", type=_picture, help="a .png, .svg or .pdf file to write: cost over crop, batch and workers"
    )
    parser.add_argument("--beside", nargs="+", type=Path, default=[], help="earlier JSON files to draw too")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="two JSON files")
    arguments = parser.parse_intermixed_args()
    try:
        if arguments.compare:
            show(compared(*map(Report.read, arguments.compare)), console=_console())
        elif arguments.what is None:
            parser.error("say what to measure: step, data, infer or memory; or give --compare")
        else:
            _measure(arguments)
    except (ValueError, OSError, HydraException) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)


def _measure(arguments: argparse.Namespace) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")  # of what a training of a few steps lacks
    earlier = [Report.read(path) for path in arguments.beside]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[Row] = []
    with Console(stderr=True).status("") as status:
        for row in _rows(arguments, status.update):
            rows.append(row)
            status.console.print(f"{row.name}: {'done' if row.seconds or row.memory else row.note}")
        report = Report(arguments.what, rows, device_name(device), " ".join(sys.argv[1:]), versions=versions())
        if arguments.what in ("step", "infer"):
            status.update("large matrices")
            lower = "precision=bf16" in report.command
            report.flops_per_second = matrix_rate(device, torch.bfloat16 if lower else torch.float32)
    if arguments.json:
        report.write(arguments.json)
    show(table(report), *notes(report), console=_console())
    if arguments.picture:
        write_figure(arguments.picture, draw([*earlier, report]))


def _rows(arguments: argparse.Namespace, tell: Tell) -> Iterator[Row]:
    keys, what = arguments.keys, arguments.what
    if what == "step":
        for crop in arguments.crops or [None]:
            for batch in arguments.batches or [None]:
                more = [f"data.crop=[{crop},{crop}]"] * bool(crop) + [f"loading.batch_size={batch}"] * bool(batch)
                config = _config([*keys, *more])
                yield from step.measure(config, arguments.modes, arguments.warmup, arguments.steps, tell)
    elif what == "data":
        side = tuple(arguments.side or (1052, 1914))
        config = _config(keys, REAL_SIZES)
        yield from loader.measure(config, arguments.workers, max(2, arguments.steps + 1), (side[0], side[1]), tell)
    elif what == "infer":
        side = tuple(arguments.side or (256, 512))
        configs = {name: _config([*keys, f"inference={name}"]) for name in _choices("inference")}
        yield from images.measure(configs, (side[0], side[1]), arguments.warmup, arguments.steps, tell)
    else:
        yield from memory.measure(_config(keys), tell)


def _config(keys: list[str], experiment: str = SMALL) -> DictConfig:
    chosen = [] if any(key.startswith("experiment=") for key in keys) else [experiment]
    return compose(*chosen, *keys)


def _choices(group: str) -> list[str]:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        names: list[str] = GlobalHydra.instance().config_loader().get_group_options(group)
    return names


def _console() -> PlainConsole:
    # Wide enough for every column if the output goes into a file.
    return PlainConsole(width=None if sys.stdout.isatty() else 140)


def _picture(text: str) -> Path:
    try:
        suffix_of(path := Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


if __name__ == "__main__":
    main()
