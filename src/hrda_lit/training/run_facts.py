"""Facts of a run that are logged: config, code version, class probabilities, teacher's distance, speed, memory."""

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch

from hrda_lit.ops.ema import relative_distance

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

_GIB = 2**30


class RunFacts(L.Callback):
    """Log once what a run is made of, and with every row of numbers its speed and memory.

    Logs train/teacher_distance (relative), train/throughput (source crops per second over all devices, without
    validation), train/memory (maximum so far in GiB; on a GPU what PyTorch allocated, else that of the process) and
    train/replays (CUDA graphs, with speed=graphs), and once train/class_probability/<class>, the config and the version
    of the code.
    """

    def __init__(self) -> None:
        self._since, self._crops = 0.0, 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what does not change."""
        module = cast("UDAModule", pl_module)
        probabilities = getattr(cast(Any, trainer).datamodule, "class_probabilities", None) or {}
        numbers = {f"train/class_probability/{name}": value for name, value in probabilities.items()}
        for logger in trainer.loggers:
            logger.log_hyperparams({**module.config, "code": code_version()})
            if numbers and trainer.global_step == 0:  # a resumed run has logged them
                logger.log_metrics(numbers, trainer.global_step)
        self._restart()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log with the last step of every `log_every_n_steps`, as Lightning does."""
        self._crops += len(batch["source"]["image"]) * trainer.world_size
        if trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        module = cast("UDAModule", pl_module)
        if module.teacher is not None:
            module.log("train/teacher_distance", relative_distance(module.teacher, module.student))
        module.log("train/throughput", self._crops / (time.perf_counter() - self._since))
        module.log("train/memory", memory(module.device))
        if module.runner.replays:
            module.log("train/replays", float(module.runner.replays))
        self._restart()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restart the clock, so that throughput does not count validation."""
        self._restart()

    def _restart(self) -> None:
        self._since, self._crops = time.perf_counter(), 0


def memory(device: torch.device) -> float:
    """Return the maximum of memory used so far in GiB: PyTorch's on a GPU, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    import resource  # not on Windows

    # In bytes on macOS, in KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / _GIB


def code_version(path: Path = Path(__file__)) -> dict[str, str | None]:
    """Return the version of the package and the commit it is checked out at.

    Args:
        path: a file of the package.

    Returns:
        "version", and "commit", which ends in -dirty where files differ from it and is None outside a checkout.
    """
    # A package installed into another project's checkout would report that project's commit.
    tracked = _git(path.parent, "ls-files", "--error-unmatch", path.name)
    commit = _git(path.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") if tracked else None
    return {"version": version("hrda_lit"), "commit": commit}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
