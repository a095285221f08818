"""Telling before a training what it needs, and refusing what its GPU has no room for."""

import logging
import os
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from hrda_lit.build import build_memory, build_method
from hrda_lit.config.nodes import ConfigError
from hrda_lit.data.classes import Classes
from hrda_lit.runs.geometry import crop_size, without_memory
from hrda_lit.system.progress import waiting
from hrda_lit.training.live_memory import Live
from hrda_lit.training.memory_estimate import GIB, WORKSPACE, Estimate, Setting, estimate
from hrda_lit.training.memory_options import SMALL, Memory

log = logging.getLogger(__name__)

LOWER = {"16": torch.float16, "bf16": torch.bfloat16}


def check_memory(config: DictConfig, classes: Classes) -> None:
    """Say what a step will need; refuse it where a GPU has less.

    Args:
        config: the composed tree.
        classes: of the labels.

    Raises:
        ConfigError: if the GPU has not enough memory free, or a key does not fit.
        ValueError: if `memory.rows` does not fit the crops.
    """
    memory, device = build_memory(config), _gpu(config)
    if not memory.check:
        return
    try:
        with waiting("estimating the memory of a step"):
            needed = estimated(config, classes, memory)
    except ValueError:
        raise
    except Exception as error:  # an encoder may do what tensors without numbers cannot; it may train all the same
        log.warning("what a step needs cannot be estimated (%s)", " ".join(str(error).split())[:200])
        return
    log.info("%s", told(needed))
    if device is None:
        return
    free, whole = torch.cuda.mem_get_info(device)
    if needed.total + WORKSPACE > free:
        with waiting("estimating what memory=small needs"):
            small = estimated(config, classes, SMALL)
        raise ConfigError(refusal(needed, small, free, whole, str(device)))


def estimated(config: DictConfig, classes: Classes, memory: Memory, live: Live | None = None) -> Estimate:
    """Estimate what a step of a config needs.

    Args:
        config: the composed tree.
        classes: of the labels.
        memory: how it saves memory.
        live: see `estimate`.
    """
    student, method = without_memory(config, classes), build_method(config, classes)
    memory.lighten(student, method)
    lower = LOWER.get(str(config.trainer.get("precision", "32")).removesuffix("-mixed"))
    keys = config.loading
    setting = Setting(crop_size(config), keys.batch_size, keys.accumulate, lower)
    return estimate(student, method, setting, live)


def told(needed: Estimate) -> str:
    """Say in a sentence what a step needs."""
    passes = ", ".join(f"{name} {_gib(max(peak[1:]))}" for name, peak in needed.passes.items())
    return (
        f"a step needs about {_gib(needed.total)} GiB on its device: weights {_gib(needed.weights)}, moments "
        f"{_gib(needed.moments)}, and at most {_gib(needed.activations)} in a pass ({passes})"
    )


def refusal(needed: Estimate, small: Estimate, free: int, whole: int, device: str) -> str:
    """Say in a sentence what is missing and what helps."""
    ways = ["lower loading.batch_size and raise loading.accumulate", "set trainer.precision=bf16-mixed"]
    if small.total < needed.total:
        ways.insert(0, f"set memory=small, which needs {_gib(small.total + WORKSPACE)}")
    return (
        f"a step needs about {_gib(needed.total + WORKSPACE)} GiB, but {device} has {_gib(free)} of {_gib(whole)} "
        f"free; {', '.join(ways)}, lower data.crop, or set memory.check=false to try it all the same."
    )


def _gib(size: float) -> str:
    return f"{size / GIB:.1f}" if size > GIB else f"{size / GIB:.2f}"


def _gpu(config: DictConfig) -> torch.device | None:
    if not torch.cuda.is_available() or config.trainer.get("accelerator", "auto") not in ("auto", "gpu", "cuda"):
        return None
    devices: Any = config.trainer.get("devices", 1)
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", int(devices[rank]) if OmegaConf.is_list(devices) else rank)
