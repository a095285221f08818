"""How a run is called on W&B: a sweep is a group, each of its jobs a run named by what was swept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import WandbLogger


class WandbRun(WandbLogger):
    """W&B's logger; a run that goes on has the id that it had."""

    def kept(self) -> dict[str, Any]:
        """Return the id of the run."""
        return {"id": self.version}

    def go_on(self, step: int, kept: Mapping[str, Any]) -> None:
        """Continue the run of that id, or start one where W&B does not know it."""
        if isinstance(identity := kept.get("id"), str):
            self._id = identity
            self._wandb_init.update(id=identity, resume="allow")


def wandb_logger(name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, **options: Any) -> WandbRun:
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
    return WandbRun(name, save_dir, **options)


def swept_overrides(overrides: Sequence[str], sweep_dir: Path) -> list[str]:
    """Leave out the overrides that are the same for all jobs of a sweep; all stay if Hydra left no record of it."""
    record = sweep_dir / "multirun.yaml"
    common = yaml.safe_load(record.read_text())["hydra"]["overrides"]["task"] if record.is_file() else []
    return [override for override in overrides if override not in common]
