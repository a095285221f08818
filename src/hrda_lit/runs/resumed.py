"""A checkpoint made ready for the run that goes on from it: between two steps, with today's optimiser settings."""

from typing import TYPE_CHECKING, Any

import lightning as L

from hrda_lit.inference.iou import class_iou

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

SCORES = "hrda_lit_scores"  # of the last whole validation: after which step it was, and its confusion matrix


def scores_of(module: "UDAModule") -> dict[str, Any]:
    """Return what a checkpoint holds of the last validation."""
    return {"scored": module.scored, "counts": module.counts}


def adapt(checkpoint: dict[str, Any], trainer: L.Trainer, module: "UDAModule") -> None:
    """Change what Lightning is about to restore.

    Args:
        checkpoint: what was read.
        trainer: of the run that goes on.
        module: of the run that goes on; gets the scores of the last validation.

    Raises:
        ValueError: if it does not hold the state of such a run.
    """
    try:
        _adapt(checkpoint, trainer, module)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(
            f"the checkpoint does not hold the state of such a training ({type(error).__name__}: {error}); go on from "
            "one that `hrda_lit.train` wrote."
        ) from error


def _adapt(checkpoint: dict[str, Any], trainer: L.Trainer, module: "UDAModule") -> None:
    scores = checkpoint.get(SCORES, {})
    step, interval = checkpoint["global_step"], trainer.val_check_interval
    due = trainer.enable_validation and (step >= trainer.max_steps or (interval >= 1 and step % int(interval) == 0))
    between_steps(checkpoint["loops"]["fit_loop"], step, due, due and scores.get("scored") != step)
    renew_rates(checkpoint, *module.build_optimizer(trainer.max_steps), step)
    if (counts := scores.get("counts")) is not None:
        module.scored, module.counts, module.iou = scores["scored"], counts, class_iou(counts)


def between_steps(loop: dict[str, Any], step: int, due: bool, pending: bool) -> None:
    """Set the counters of a fit loop to what they are when a step is done and the next has not begun.

    Checkpoints are written in hooks, where some of Lightning's counters have moved on already and others have not.

    Args:
        loop: Lightning's state of a fit loop; changed.
        step: how many have been done.
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


def renew_rates(checkpoint: dict[str, Any], optimizer: Any, scheduler: Any, step: int) -> None:
    """Put today's learning rates, momenta and decay over the saved ones, whose moments stay.

    Args:
        checkpoint: changed.
        optimizer: new, of today's config.
        scheduler: new, of today's config.
        step: how many have been done.
    """
    factors = [factor(step) for factor in scheduler.lr_lambdas]
    rates = [base * factor for base, factor in zip(scheduler.base_lrs, factors, strict=True)]
    saved = checkpoint["optimizer_states"][0]["param_groups"]
    for group, fresh, rate in zip(saved, optimizer.param_groups, rates, strict=True):
        group.update({key: value for key, value in fresh.items() if key != "params"}, lr=rate)
    checkpoint["lr_schedulers"][0].update(base_lrs=scheduler.base_lrs, _last_lr=rates, last_epoch=step)


def _count(progress: dict[str, Any], **counts: int) -> None:
    for part in ("total", "current"):
        progress[part].update({key: value for key, value in counts.items() if key in progress[part]})
