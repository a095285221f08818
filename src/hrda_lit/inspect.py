"""Check the data of an experiment: `python -m hrda_lit.inspect experiment=hrda_gta data_root=/path`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_train

if TYPE_CHECKING:
    from hrda_lit.inspecting.data_check import Findings


def inspect(config: DictConfig) -> bool:
    """Check the data as `hrda_lit.train` does, and show an overview.

    Args:
        config: the composed tree, the same as of training.

    Returns:
        Whether training can start.

    Raises:
        ValueError: if a key or value does not fit.
        FileNotFoundError: if data are missing.
    """
    check_train(config)
    # Imported here, so that --help and what is refused above need not wait for torch.
    from hydra.utils import instantiate

    from hrda_lit import build
    from hrda_lit.inspecting.data_check import DataCheck, check_data
    from hrda_lit.pictures.figures import suffix_of
    from hrda_lit.runs.geometry import check_geometry

    sheet = Path(config.get("sheet", "contact_sheet.png"))  # a tree of train.yaml has none
    suffix_of(sheet)
    method, datamodule = build.build_task(config)
    check = DataCheck.of(config)
    if check is None:
        raise ValueError("data_check is null, which checks nothing; remove data_check=null.")
    if config.prepare_data:
        instantiate(config.prepare_data)
    findings = check_data(datamodule.data_splits(), check)
    try:
        check_geometry(config, method)
    except ValueError as error:
        findings.refusals.append(str(error))
    return _show(findings, config, Path(config.run_dir) / sheet)


def _show(findings: "Findings", config: DictConfig, path: Path) -> bool:
    """Write and print the tables, draw the contact sheet, and return whether training can start."""
    from hrda_lit.inspecting.report import contact_sheet, overview, shares
    from hrda_lit.pictures.figures import write_figure
    from hrda_lit.runs.folder import open_run
    from hrda_lit.system.files import write_atomically
    from hrda_lit.system.table import as_text, show

    tables = [overview(findings.surveys), shares(findings.surveys)]
    open_run(config)
    write_atomically(Path(config.run_dir) / "data.txt", as_text(*tables).encode())
    figure, faults = contact_sheet(findings.surveys, 4)
    refusals = findings.refusals + faults
    lines = [f"warning: {text}" for text in findings.warnings] + [f"error: {text}" for text in refusals]
    if figure is not None:
        write_figure(path, figure)
        lines.append(f"{path} shows images with their labels")
    show(*tables, *lines, "training cannot start" if refusals else "training can start")
    return not refusals


@command("inspect")
def main(config: DictConfig) -> None:
    """Run `inspect`; the exit code is 1 if training cannot start."""
    if not inspect(config):
        sys.exit(1)


if __name__ == "__main__":
    main()
