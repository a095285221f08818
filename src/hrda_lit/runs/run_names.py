"""How a run is called where runs are compared: a sweep is a group, each of its jobs named by what was swept."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml


class Called(NamedTuple):
    """The name of a run, and the group that it belongs to, if any."""

    name: str
    group: str | None


def called(name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str) -> Called:
    """Name a run.

    Args:
        name: of the experiment.
        save_dir: the run's folder; below `sweep_dir` for a job of a sweep.
        overrides: of this job, e.g. ["lambda_d=0.1", "experiment=hrda_demo"].
        sweep_dir: where Hydra keeps a sweep.

    Returns:
        `name` itself, or e.g. "lambda_d=0.1" in a group called as the sweep's folder.
    """
    sweep = Path(sweep_dir).resolve()
    if sweep not in Path(save_dir).resolve().parents:
        return Called(name, None)
    return Called(",".join(swept_overrides(overrides, sweep)) or name, sweep.name)


def swept_overrides(overrides: Sequence[str], sweep_dir: Path) -> list[str]:
    """Leave out the overrides that are the same for all jobs of a sweep; all stay if Hydra left no record of it."""
    record = sweep_dir / "multirun.yaml"
    common = yaml.safe_load(record.read_text())["hydra"]["overrides"]["task"] if record.is_file() else []
    return [override for override in overrides if override not in common]
