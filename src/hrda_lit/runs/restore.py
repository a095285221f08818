"""Restore a run from a checkpoint: between two steps, with the settings of today's config.

Only what a run cannot know again is taken from the file: weights, moments, scores, states of callbacks.
Counters, learning rates and schedules follow from the step and today's config.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import lightning as L

from hrda_lit.inference.iou import class_iou
from hrda_lit.module import UDAModule
from hrda_lit.runs.resume import Start
from hrda_lit.runs.state import SCORES, check_callbacks, check_optimizer, check_scores, check_weights, unfit
from hrda_lit.system.errors import USER_ERRORS, format_error, name_in_errors


@contextmanager
def restore(trainer: L.Trainer, start: Start | None) -> Iterator[None]:
    """Prepare what a fit restores, and name the checkpoint in every error before the first step."""
    callback = _Restore(start)
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    try:
        yield
    except Exception as error:
        if start is None or callback.begun:
            raise
        with name_in_errors(start.path):
            if isinstance(error, USER_ERRORS):
                raise
            raise unfit(start.path, f"{type(error).__name__}: {format_error(error)}") from error


class _Restore(L.Callback):
    def __init__(self, start: Start | None) -> None:
        self.start, self.begun = start, False

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        assert self.start is not None
        try:
            adapt(checkpoint, trainer, cast(UDAModule, pl_module))
        except ValueError as error:
            raise unfit(self.start.path, str(error)) from error

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begun = True


def adapt(checkpoint: dict[str, Any], trainer: L.Trainer, module: UDAModule) -> None:
    """Change the content of a checkpoint before Lightning restores it, and give the module its last scores."""
    step, interval = checkpoint["global_step"], trainer.val_check_interval
    optimizer, scheduler = module.build_optimizer(trainer.max_steps)
    scores = checkpoint.get(SCORES, {})
    check_weights(checkpoint["state_dict"], module.state_dict())
    check_optimizer(checkpoint["optimizer_states"], optimizer, module, step)
    check_callbacks(checkpoint["callbacks"], trainer.callbacks, step)  # type: ignore[attr-defined]
    check_scores(scores, len(module.classes), step)
    last = step >= trainer.max_steps or (interval >= 1 and step % int(interval) == 0)
    due = trainer.enable_validation and last
    loop = trainer.fit_loop.state_dict()
    between_steps(loop, step, due, due and scores.get("scored") != step)
    checkpoint["loops"] = {"fit_loop": loop}
    renew_rates(checkpoint, optimizer, scheduler, step)
    if scores.get("counts") is not None:
        module.scored, module.counts = scores["scored"], scores["counts"]
        module.iou = class_iou(scores["counts"])


def between_steps(loop: dict[str, Any], step: int, due: bool, pending: bool) -> None:
    """Set the counters of a fit loop to what they are when a step is done and the next has not begun.

    Checkpoints are written in hooks, where only some of Lightning's counters have moved on already.

    Args:
        loop: Lightning's state of a fit loop; changed.
        step: number of steps done.
        due: whether a validation belongs to the last of them.
        pending: whether it is still to be made, or to be made again from its start.
    """
    _count(loop["epoch_progress"], ready=1, started=1, processed=0, completed=0)
    _count(loop["epoch_loop.batch_progress"], ready=step, started=step, processed=step, completed=step)
    loop["epoch_loop.batch_progress"]["is_last_batch"] = False
    _count(loop["epoch_loop.manual_optimization.optim_step_progress"], ready=step, completed=step)
    # Lightning counts a step for its loggers only once its validation is over.
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = step - 1 if due else step
    # A validation that has begun its first image is one that Lightning goes back to.
    begun = int(pending)
    _count(loop["epoch_loop.val_loop.batch_progress"], ready=begun, started=begun, processed=0, completed=0)


def _count(progress: dict[str, Any], **counts: int) -> None:
    for part in ("total", "current"):
        progress[part].update({key: value for key, value in counts.items() if key in progress[part]})


def renew_rates(checkpoint: dict[str, Any], optimizer: Any, scheduler: Any, step: int) -> None:
    """Replace saved groups and schedule by those of a new optimiser and schedule; moments stay."""
    factors = [factor(step) for factor in scheduler.lr_lambdas]
    rates = [base * factor for base, factor in zip(scheduler.base_lrs, factors, strict=True)]
    groups = optimizer.state_dict()["param_groups"]
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    checkpoint["optimizer_states"] = [{**checkpoint["optimizer_states"][0], "param_groups": groups}]
    places = {"_last_lr": rates, "last_epoch": step, "_step_count": step + 1}
    checkpoint["lr_schedulers"] = [{**scheduler.state_dict(), **places}]
