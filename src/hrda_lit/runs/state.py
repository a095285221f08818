"""Check the training state in a checkpoint: by itself, and against the run that resumes from it.

Every error names the entry, what came and what is needed; what a run can know again is not looked at.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from hrda_lit.ops.finite import all_finite
from hrda_lit.runs.loggers import STATES
from hrda_lit.system.text import LONGEST_REASON, shorten
from hrda_lit.system.torch_files import is_dense

log = logging.getLogger(__name__)

VERSION = "pytorch-lightning_version"
PARTS: dict[str, type] = {
    "global_step": int,
    VERSION: str,
    "loops": dict,
    "optimizer_states": list,
    "callbacks": dict,
}
SCORES = "hrda_lit_scores"  # of the last whole validation: after which step it was, and its confusion matrix
LARGEST = 1e12  # beyond what is logged
_COUNTED = ("fit_loop", "epoch_loop.manual_optimization.optim_step_progress", "total", "completed")


def check_state(content: Mapping[str, Any]) -> None:
    """Check the entries of a checkpoint as far as that needs nothing else."""
    for key, kind in PARTS.items():
        require(type(content[key]) is kind, key, content[key], f"a {kind.__name__}")
    step, counted = content["global_step"], content["loops"]
    for key in _COUNTED:
        counted = counted.get(key) if isinstance(counted, dict) else None
    need = f"the steps that loops count, {_describe(counted)}"
    require(step >= 0 and counted == step, "global_step", step, need)
    version = content[VERSION]
    require(re.fullmatch(r"[2-9]\.\d+\.\d+\S{,20}", version), VERSION, version, "2.0.0 or newer")
    loggers = content.get(STATES, {})
    require(isinstance(loggers, dict), STATES, loggers, "a mapping")
    for name, state in loggers.items():
        require(isinstance(state, dict), f"{STATES}.{name}", state, "a mapping")
    for place, value in _tensors(content["optimizer_states"], "optimizer_states"):
        require(is_dense(value), place, value, "a dense tensor")
        finite = not value.is_floating_point() or all_finite(value)
        require(finite, place, value, "numbers without NaN or infinity")
    for name, value in content["state_dict"].items():
        if name.endswith("running_var"):
            require((value >= 0).all(), f"state_dict.{name}", value, "variances, none negative")


def check_weights(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Reject weights of several precisions where a module has one; loading would convert them."""
    stored: dict[torch.dtype, torch.dtype] = {}
    for name, value in state.items():
        need = stored.setdefault(own[name].dtype, value.dtype)
        require(value.dtype == need, f"state_dict.{name}", value, f"{need} as the others")


def check_optimizer(states: list[Any], optimizer: Optimizer, module: L.LightningModule, step: int) -> None:
    """Compare the state of an optimiser with a new one; moments that are missing start from zero, which is logged."""
    single = len(states) == 1 and isinstance(states[0], dict)
    require(single, "optimizer_states", states, "the state of one optimiser")
    moments, groups = states[0].get("state"), optimizer.state_dict()["param_groups"]
    require(isinstance(moments, dict), "optimizer_states.0.state", moments, "a mapping")
    _check_groups(states[0].get("param_groups"), groups)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, state in moments.items():
        place = f"optimizer_states.0.state.{number}"
        known = type(number) is int and 0 <= number < len(weights)
        require(known, place, state, f"a number below {len(weights)}")
        _check_moments(state, place, weights[number], "betas" in groups[0], step)
    kinds = {value.dtype for place, value in _tensors(moments, "") if not place.endswith(".step")}
    require(len(kinds) < 2, "optimizer_states.0.state", moments, "moments of one precision")
    missing = [weight for number, weight in enumerate(weights) if number not in moments]
    if missing and step > 0 and groups[0].get("momentum") != 0:
        names = {id(weight): name for name, weight in module.named_parameters()}
        first = names[id(missing[0])]
        log.warning("%d of %d weights start without moments, such as %s", len(missing), len(weights), first)


def _check_groups(saved: Any, fresh: list[dict[str, Any]]) -> None:
    need = f"{len(fresh)} groups of the weights of this network"
    fits = isinstance(saved, list) and list(map(_layout, saved)) == list(map(_layout, fresh))
    require(fits, "optimizer_states.0.param_groups", saved, need)


def _layout(group: Any) -> object:
    return repr((group.get("name"), group.get("params"))) if isinstance(group, dict) else None


def _check_moments(state: Any, place: str, weight: Tensor, adam: bool, step: int) -> None:
    names = {"step", "exp_avg", "exp_avg_sq"} if adam else {"momentum_buffer"}
    need = f"the moments of this optim ({', '.join(sorted(names))})"
    require(isinstance(state, dict) and state.keys() == names, place, state, need)
    for name, value in state.items():
        shape = torch.Size() if name == "step" else weight.shape
        fits = isinstance(value, Tensor) and value.is_floating_point() and value.shape == shape
        require(fits, f"{place}.{name}", value, f"floats of shape {tuple(shape)}")
        if name == "step":
            require(value.dtype == torch.float32, f"{place}.{name}", value, "torch.float32")
            require(0 < value.item() <= step, f"{place}.{name}", value.item(), f"1 to {step}")
        if name == "exp_avg_sq":
            require((value >= 0).all(), f"{place}.{name}", value, "squares, none negative")


def check_callbacks(states: Mapping[str, Any], callbacks: Iterable[L.Callback], step: int) -> None:
    """Compare the states of callbacks with new ones; one that is missing starts from its beginning, which is logged."""
    for callback in callbacks:
        fresh, key = callback.state_dict(), callback.state_key
        if fresh and key not in states:
            log.warning("callbacks.%s is not in the checkpoint and starts anew", key)
        elif fresh:
            ours = type(callback).__module__.startswith("hrda_lit.")
            _check_callback(states[key], fresh, f"callbacks.{key}", step if ours else None)


def _check_callback(saved: Any, fresh: Mapping[str, Any], place: str, step: int | None) -> None:
    """Compare two states; those of this library, with a `step`, are compared closely."""
    names = saved.keys() if isinstance(saved, dict) else set()
    complete = names == fresh.keys() if step is not None else names >= fresh.keys()
    require(complete, place, saved, f"a mapping of {', '.join(map(str, fresh))}")
    for name, value in fresh.items():
        fits = _is_similar(saved[name], value) if step is None else _is_valid(saved[name], value, step)
        require(fits, f"{place}.{name}", saved[name], f"what is like {shorten(repr(value))}")


def _is_similar(saved: object, fresh: object) -> bool:
    kinds = {type(saved), type(fresh)} - {type(None)}
    return len(kinds) < 2 or kinds == {int, float}


def _is_valid(saved: Any, fresh: Any, step: int) -> bool:
    """Return whether a value is a count, a number, names, or numbers by name, as in a new state."""
    if isinstance(fresh, list | dict):
        texts = type(saved) is type(fresh) and all(isinstance(name, str) for name in saved)
        return texts and (isinstance(fresh, list) or all(map(_is_number, saved.values())))
    if type(fresh) is int:
        return type(saved) is int and 0 <= saved <= step
    return _is_number(saved) or (saved is None and fresh is None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def check_scores(scores: Any, classes: int, step: int) -> None:
    """Check that scores are a step and a confusion matrix of so many classes, or None for both."""
    require(isinstance(scores, dict), SCORES, scores, "a mapping")
    scored, counts = scores.get("scored"), scores.get("counts")
    if scored is None and counts is None:
        return
    known = type(scored) is int and 0 <= scored <= step
    require(known, f"{SCORES}.scored", scored, f"a step up to {step}")
    fits = is_dense(counts) and counts.dtype == torch.int64 and counts.shape == (classes, classes)
    fits = fits and bool((counts >= 0).all())
    require(fits, f"{SCORES}.counts", counts, f"counts of {classes} x {classes} classes")


def require(fits: object, place: str, came: object, need: str) -> None:
    """Raise ValueError with the place of an entry, what came and what is needed, unless it fits."""
    if not fits:
        raise ValueError(f"{shorten(place, LONGEST_REASON)} is {_describe(came)}, need {need}")


def unfit(path: Path, reason: str) -> ValueError:
    """Return the error of a checkpoint that no training can resume from."""
    reason = shorten(reason, 2 * LONGEST_REASON)
    return ValueError(
        f"{path} does not hold the state of a training ({reason}); give another checkpoint of this run, "
        "or resume=never."
    )


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and {value.dtype}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)} entries"
    return shorten(repr(value))


def _tensors(node: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield place, node
    if isinstance(node, list | tuple):
        node = dict(enumerate(node))
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _tensors(value, f"{place}.{key}")
