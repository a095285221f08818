"""Save a run: last.ckpt and best.ckpt, each whole at every moment."""

import math
import signal
import time
from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from hrda_lit.config.messages import nearest
from hrda_lit.config.ranges import Count, Positive
from hrda_lit.config.values import check_arguments
from hrda_lit.inference.iou import logged_means
from hrda_lit.module import UDAModule
from hrda_lit.ops.finite import all_finite
from hrda_lit.runs.loggers import STATES, resume_states
from hrda_lit.runs.state import SCORES
from hrda_lit.system.files import link_atomically
from hrda_lit.system.signals import Stopped, watch
from hrda_lit.training.skipped_steps import skipped_last_step


@check_arguments
class Checkpoint(L.Callback):
    """Save the run between two steps: every n steps, around validations, at the end, and on a signal.

    A checkpoint is written before and after a validation, so that a run killed in between repeats it.
    It goes before the EMA teacher, which moves at the start of a step.

    Args:
        folder: folder of <folder>/last.ckpt and <folder>/best.ckpt.
        every: steps from one checkpoint to the next, >= 1.
        best: the logged number that chooses best.ckpt, e.g. "val/miou"; None for no best.ckpt.
        mode: whether the "max" or the "min" of it is best.
        every_minutes: also save when so many minutes have passed since the last one; None for steps only.

    Attributes:
        best_value: best value of that number so far, or None.

    Raises:
        ValueError: if a value is out of range.
    """

    def __init__(
        self,
        folder: str,
        every: Count,
        best: str | None = "val/miou",
        mode: Literal["max", "min"] = "max",
        every_minutes: Positive | None = None,
    ) -> None:
        self.folder, self.every, self.best, self.mode = Path(folder), every, best, mode
        self.seconds = math.inf if every_minutes is None else 60 * every_minutes
        self.best_value: float | None = None
        self._saved: tuple[int, int | None] | None = None
        self._since = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note what is on disk already; from here on a signal can wait for the end of a step."""
        self._saved, self._since = _reached(trainer), time.monotonic()
        watch.can_wait = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save what the steps before have made, if it is time; stop if a signal has come to any process."""
        stop = trainer.strategy.reduce_boolean_decision(watch.received is not None, all=False)
        if stop or trainer.global_step % self.every == 0 or self._time_is_over(trainer):
            self._save(trainer)
        if stop:
            self._stop(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let the last step be validated, whatever the interval."""
        if trainer.global_step >= trainer.max_steps:
            trainer.val_check_batch = 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save first: a validation can take long."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._save(trainer)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop during a validation, which is repeated later; several processes finish it first."""
        if watch.received is not None and trainer.world_size == 1:
            self._stop(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save again, now that the step is scored."""
        if not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the last step."""
        self._save(trainer)
        watch.can_wait, watch.reached = False, f"after its last step, saved in {self.folder / 'last.ckpt'}"
        logs = self.best is not None and (not self.best.startswith("val/") or bool(trainer.val_dataloaders))
        if logs and self.best_value is None and trainer.is_global_zero:
            L.pytorch.utilities.rank_zero_warn(
                f"no best.ckpt: {self.best} was not logged, choose one of {sorted(trainer.callback_metrics)} as best."
            )

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Let a signal end the run at once."""
        watch.can_wait = False

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that are not finite; add the last scores and the loggers' places."""
        refuse_non_finite(checkpoint["state_dict"], trainer.global_step, self.folder)
        module = cast(UDAModule, pl_module)
        checkpoint[SCORES] = {"scored": module.scored, "counts": module.counts}
        checkpoint[STATES] = resume_states(trainer.loggers)

    def state_dict(self) -> dict[str, Any]:
        """Return how good the best was."""
        return {"best": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore how good the best was; ValueError if that cannot be an IoU."""
        best, fraction = state_dict["best"], (self.best or "").startswith(("val/miou", "val/iou/"))
        if fraction and best is not None and not 0 <= best <= 1:
            raise ValueError(f"callbacks.Checkpoint.best is {best}, need a fraction; give another checkpoint.")
        self.best_value = best

    def _save(self, trainer: L.Trainer) -> None:
        now = _reached(trainer)
        if self._saved == now:
            return
        # A step that failed may have failed with these weights; what was saved before it leads here again.
        if skipped_last_step(trainer) and trainer.global_step < trainer.max_steps:
            return
        last, best = self.folder / "last.ckpt", self.folder / "best.ckpt"
        value = self._number(trainer)
        if trainer.strategy.broadcast(value is not None and self._is_better(value)):
            self.best_value = value
            trainer.save_checkpoint(best)
            if trainer.is_global_zero:
                link_atomically(best, last)
        else:
            trainer.save_checkpoint(last)
        self._saved, self._since = now, time.monotonic()

    def _number(self, trainer: L.Trainer) -> float | None:
        step, scored = _reached(trainer)
        if self.best is None or (self.best.startswith("val/") and scored != step):
            return None
        value = float(trainer.callback_metrics.get(self.best, math.nan))
        return value if math.isfinite(value) else None

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        return self.best_value is None or sign * value > sign * self.best_value

    def _time_is_over(self, trainer: L.Trainer) -> bool:
        if self.seconds == math.inf:
            return False
        return bool(trainer.strategy.reduce_boolean_decision(time.monotonic() - self._since > self.seconds, all=False))

    def _stop(self, trainer: L.Trainer) -> None:
        step, path = self._saved[0] if self._saved else 0, self.folder / "last.ckpt"
        reached = f"after step {step}, saved in {path}" if path.is_file() else "before its first step"
        raise Stopped(watch.received or signal.SIGTERM, reached)


def check_names(trainer: L.Trainer, module: UDAModule) -> None:
    """Reject a misspelt number that a callback watches by its `best` or `monitor`, before the run begins."""
    known = {name.casefold(): name for name in sorted(logged_names(module))}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        for key in ("best", "monitor"):
            name = getattr(callback, key, None)
            if not isinstance(name, str) or name in known.values():
                continue
            near = known.get(name.casefold()) or nearest(name, list(known.values()))
            if near:
                raise ValueError(
                    f"{key}={name} of {type(callback).__name__}: nothing logs this name; did you mean {near}?"
                )


def logged_names(module: UDAModule) -> set[str]:
    """Return the names that the library logs in a run; callbacks and methods of someone else may log more."""
    classes = module.classes.names
    names = {"train/pseudo/q", "train/grad_norm", "train/skipped", "train/teacher_distance"}
    names |= {"target/entropy", "target/agreement", *logged_means(torch.ones(len(classes)), classes)}
    names |= {f"val/iou/{name}" for name in classes}
    return names | {f"train/loss/{name}" for name in (*module.method.names, "feature_distance")}


def _reached(trainer: L.Trainer) -> tuple[int, int | None]:
    # A step is saved before it is scored and once more afterwards.
    return trainer.global_step, cast(UDAModule, trainer.lightning_module).scored


def refuse_non_finite(state: dict[str, Tensor], step: int, folder: Path) -> None:
    """Raise FloatingPointError if a weight or buffer is not finite; waits for the device once."""
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    finite = torch.stack([all_finite(value) for value in floats.values()]).tolist()
    broken = [name for name, good in zip(floats, finite, strict=True) if not good]
    if broken:
        raise FloatingPointError(
            f"{len(broken)} weights are not finite after step {step}, such as {broken[0]}; they are not saved and the "
            f"checkpoints in {folder} are kept, lower optim.lr, set optim.clip or use trainer.precision=32-true."
        )
