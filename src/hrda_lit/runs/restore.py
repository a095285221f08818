"""Prepare a checkpoint for the run that resumes from it: between two steps, with today's settings."""

from typing import TYPE_CHECKING, Any

import lightning as L
from torch import Tensor
from torch.optim import Optimizer

from hrda_lit.inference.iou import class_iou

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

SCORES = "hrda_lit_scores"  # of the last whole validation: after which step it was, and its confusion matrix


def adapt(checkpoint: dict[str, Any], trainer: L.Trainer, module: "UDAModule") -> None:
    """Change the content of a checkpoint before Lightning restores it, and give the module its last scores.

    Raises:
        ValueError: if a callback or the optimiser has another kind of state.
    """
    scores = checkpoint.get(SCORES, {})
    step, interval = checkpoint["global_step"], trainer.val_check_interval
    due = trainer.enable_validation and (step >= trainer.max_steps or (interval >= 1 and step % int(interval) == 0))
    between_steps(checkpoint["loops"]["fit_loop"], step, due, due and scores.get("scored") != step)
    optimizer, scheduler = module.build_optimizer(trainer.max_steps)
    _check_moments(checkpoint["optimizer_states"][0]["state"], optimizer, module)
    renew_rates(checkpoint, optimizer, scheduler, step)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if (saved := checkpoint["callbacks"].get(callback.state_key)) is not None:
            _check_alike(saved, callback.state_dict(), f"the state of {callback.state_key}")
    if (counts := scores.get("counts")) is not None:
        size = len(module.classes)
        if not isinstance(counts, Tensor) or counts.shape != (size, size) or type(scores["scored"]) is not int:
            raise ValueError(f"its scores are none of {size} classes after a step; give another checkpoint.")
        module.scored, module.counts, module.iou = scores["scored"], counts, class_iou(counts)


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


def _check_moments(state: dict[int, dict[str, Any]], optimizer: Optimizer, module: L.LightningModule) -> None:
    # Torch would take moments of other parameters and fail with them later.
    names = {id(weight): name for name, weight in module.named_parameters()}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    keys = {key for moments in state.values() for key in moments}
    if "betas" in optimizer.param_groups[0]:
        keys |= {"step", "exp_avg", "exp_avg_sq"}
    for number, moments in state.items():
        for key in keys:
            _check_moment(key, moments[key], weights[number], names.get(id(weights[number])))


def _check_moment(key: str, value: Any, weight: Tensor, name: str | None) -> None:
    if isinstance(value, Tensor) and value.dim() and value.shape != weight.shape:
        raise ValueError(
            f"its optimiser has {key} of shape {tuple(value.shape)} for {name} of shape {tuple(weight.shape)}; "
            "give another checkpoint."
        )
    if not isinstance(value, Tensor | int | float | None):
        raise TypeError(f"its optimiser has a {type(value).__name__} as {key}")


def renew_rates(checkpoint: dict[str, Any], optimizer: Any, scheduler: Any, step: int) -> None:
    """Replace saved rates, momenta and decay by those of a new optimiser and schedule; moments stay."""
    factors = [factor(step) for factor in scheduler.lr_lambdas]
    rates = [base * factor for base, factor in zip(scheduler.base_lrs, factors, strict=True)]
    saved = checkpoint["optimizer_states"][0]["param_groups"]
    for group, fresh, rate in zip(saved, optimizer.param_groups, rates, strict=True):
        group.update({key: value for key, value in fresh.items() if key != "params"}, lr=rate)
    checkpoint["lr_schedulers"][0].update(
        base_lrs=scheduler.base_lrs, _last_lr=rates, last_epoch=step, _step_count=step + 1
    )


def _check_alike(saved: Any, fresh: dict[str, Any], what: str) -> None:
    """Reject a state whose keys or types differ from those of a new one; None stands for any value."""
    if not isinstance(saved, dict) or not set(fresh) <= set(saved):
        raise ValueError(f"{what} is not one of {', '.join(fresh)}; give another checkpoint.")
    for key, value in fresh.items():
        kinds = {type(saved[key]), type(value)} - {type(None)}
        if len(kinds) > 1 and kinds != {int, float}:
            raise ValueError(f"{what} has a {type(saved[key]).__name__} as {key}; give another checkpoint.")


def _count(progress: dict[str, Any], **counts: int) -> None:
    for part in ("total", "current"):
        progress[part].update({key: value for key, value in counts.items() if key in progress[part]})
