"""Propose experiments for two folders: `python -m hrda_lit.init source=day target=dusk out=mine`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.commands import command
from hrda_lit.runs.ending import command_line
from hrda_lit.schema.check import check_tree, compose_train
from hrda_lit.schema.trees import InitKeys
from hrda_lit.system.files import SCRATCH, remove_stale, scratch_prefix
from hrda_lit.system.text import PlainConsole

if TYPE_CHECKING:
    from hrda_lit.inspecting.data_check import Findings
    from hrda_lit.proposal.write import Proposal


def init(config: DictConfig) -> Path:
    """Measure the data, choose, write YAML files, and check that training can start with them.

    Args:
        config: the composed tree of conf/init.yaml.

    Returns:
        The new folder.

    Raises:
        ValueError: if a key does not fit, something is ambiguous, or the data have faults.
        FileExistsError: if the folder exists already.
        FileNotFoundError: if images are missing.
    """
    check_tree(config, InitKeys)
    # Imported here, so that --help need not wait for torch.
    from hrda_lit.proposal.propose import propose
    from hrda_lit.proposal.write import write

    keys: dict[str, Any] = {str(key): value for key, value in OmegaConf.to_object(config).items()}  # type: ignore[union-attr]
    out = Path(keys["out"]).expanduser().absolute()
    if out.exists():
        raise FileExistsError(f"out={keys['out']} is there already; give another folder, or remove it.")
    proposal = propose(keys)
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(out.parent.glob(SCRATCH))
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(), suffix=".part", dir=out.parent) as scratch:
        made = Path(scratch, out.name)
        write(proposal, made, out)
        made.rename(out)
    findings = _check(proposal, out)
    _show(proposal, findings, out)
    findings.require()
    return out


def _check(proposal: "Proposal", out: Path) -> "Findings":
    """Check keys and data as a training does before its first step."""
    from hrda_lit import build
    from hrda_lit.inspecting.data_check import DataCheck, check_data
    from hrda_lit.runs.geometry import check_geometry

    for kind in proposal.kinds:
        config = compose_train([f"experiment={proposal.name}_{kind}"], out)
        if kind not in ("daformer", "hrda"):
            continue  # the baseline and the oracle have the same networks
        method, datamodule = build.build_task(config)
        check_geometry(config, method)
        if kind == "hrda":
            check = DataCheck.of(config)
            assert check is not None
            findings = check_data(datamodule.data_splits(), check)
    return findings


def _show(proposal: "Proposal", findings: "Findings", out: Path) -> None:
    console = PlainConsole(soft_wrap=True)
    for line in proposal.summary():
        console.print(line)
    for text in findings.warnings:
        console.print(f"warning: {text}")
    console.print(f"{out} holds these files, with the reason of each number beside it. What comes next:")
    experiments = [f"{proposal.name}_{kind}" for kind in proposal.kinds]
    commands = [["inspect", f"experiment={proposal.name}_hrda", "--config-dir", str(out)]]
    if not findings.refusals:
        commands += [["train", f"experiment={name}", "--config-dir", str(out)] for name in experiments]
        if "val" in proposal.target.lists:
            commands.append(["scripts.results_table", *(f"outputs/{name}" for name in experiments)])
    for module, *words in commands:
        console.print(f"  {command_line(f'hrda_lit.{module}', *words)}")


@command("init")
def main(config: DictConfig) -> None:
    """Run `init`."""
    init(config)


if __name__ == "__main__":
    main()
