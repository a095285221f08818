"""W&B's logger: named as its sweep, going on in the run that it was, with mIoU first in its summary."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from hrda_lit.runs.run_names import called

Mode = Literal["online", "offline", "disabled", "shared", "dryrun", "run"]


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

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers; the latest mIoU goes to the top of the summary too, which W&B sorts, capitals first."""
        super().log_metrics(metrics, step)
        if "val/miou" in metrics:
            self.experiment.summary["mIoU"] = metrics["val/miou"]


def wandb_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, mode: Mode = "online", **options: Any
) -> WandbRun:
    """Build W&B's logger.

    Args:
        name: of the experiment.
        save_dir: the run's folder; below `sweep_dir` for a job of a sweep.
        overrides: of this job, e.g. ["lambda_d=0.1", "experiment=hrda_demo"].
        sweep_dir: where Hydra keeps a sweep.
        mode: "online" needs a login; "offline" keeps the run for `wandb sync`; "disabled" logs nothing.
        **options: of Lightning's WandbLogger and of wandb.init; a `group` given here goes first.

    Returns:
        The logger of a run called `name`, or of one called e.g. "lambda_d=0.1" in a group called as the sweep's folder.

    Raises:
        ValueError: if it should go online and nobody is logged in.
    """
    if mode not in ("offline", "dryrun", "disabled"):
        _require_login(mode)
    name, group = called(name, save_dir, overrides, sweep_dir)
    if group is not None:
        options = {"group": group, **options}
    return WandbRun(name, save_dir, mode=mode, **options)


def _require_login(mode: str) -> None:
    import wandb

    # Else wandb would ask at a terminal, or fail when data have been read and a model is built.
    if not wandb.login(prompt=False, verify=False):
        raise ValueError(
            f"logger.wandb.mode={mode} needs a login at W&B; run `wandb login` once, set WANDB_API_KEY, or set "
            "logger.wandb.mode=offline and run `wandb sync` later."
        )
