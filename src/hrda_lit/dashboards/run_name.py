"""The name under which dashboards show a run, and the group of the runs of a sweep."""

from collections.abc import Sequence
from pathlib import Path

import yaml

LONGEST = 80  # letters of a run's name, which is also that of a folder


def name_run(name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str) -> tuple[str, str | None]:
    """Return name and group of a run: its experiment, or e.g. "lambda_d=0.1" and the sweep's folder.

    A job of a sweep has its `save_dir` below the `sweep_dir`, and `overrides` like "lambda_d=0.1".
    """
    sweep, folder = Path(sweep_dir).resolve(), Path(save_dir).resolve()
    if sweep not in folder.parents:
        return name, None
    swept = ",".join(swept_overrides(overrides, sweep)) or name
    if len(swept) > LONGEST:
        swept = f"{swept[:LONGEST]}… {folder.name}"  # the number of the job keeps it unique
    return swept, sweep.name


def swept_overrides(overrides: Sequence[str], sweep_dir: Path) -> list[str]:
    """Return the overrides that differ between the jobs of a sweep; all if Hydra left no record of it."""
    try:
        record = yaml.safe_load((sweep_dir / "multirun.yaml").read_bytes())
        common = record["hydra"]["overrides"]["task"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return list(overrides)
    return [override for override in overrides if override not in common]
