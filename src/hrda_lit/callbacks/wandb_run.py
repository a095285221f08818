"""How a run is called on W&B: a sweep is a group, each of its jobs a run named by what was swept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import WandbLogger


def wandb_logger(name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, **options: Any) -> WandbLogger:
    """Build W&B's logger.

    Args:
        name: of the experiment.
        save_dir: the run's folder; below `sweep_dir` for a job of a sweep.
        overrides: of this job, e.g. ["lambda_d=0.1", "experiment=hrda_demo"].
        sweep_dir: where Hydra keeps a sweep.
        **options: of Lightning's WandbLogger and of wandb.init; a `group` given here goes first.

    Returns:
        The logger of a run called `name`, or of one called e.g. "lambda_d=0.1" in a group called as the sweep's folder.
    """
    sweep = Path(sweep_dir).resolve()
    if sweep in Path(save_dir).resolve().parents:
        options = {"group": sweep.name, **options}
        name = ",".join(swept_overrides(overrides, sweep)) or name
    return WandbLogger(name, save_dir, **options)


def swept_overrides(overrides: Sequence[str], sweep_dir: Path) -> list[str]:
    """Leave out the overrides that are the same for all jobs of a sweep; all stay if Hydra left no record of it."""
    record = sweep_dir / "multirun.yaml"
    common = yaml.safe_load(record.read_text())["hydra"]["overrides"]["task"] if record.is_file() else []
    return [override for override in overrides if override not in common]
