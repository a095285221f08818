"""Log facts of a run: config, code version, class probabilities, teacher's distance, speed and memory."""

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch

from hrda_lit.training.ema_teacher import relative_distance

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

_GIB = 2**30


class RunFacts(L.Callback):
    """Log the config and code version once, and speed and memory with every row of numbers.

    Rows have train/teacher_distance (relative), train/throughput (source crops per second over all devices,
    without validation), train/memory (maximum so far in GiB: PyTorch's on a GPU, else the process's) and
    train/replays (CUDA graphs, with speed=graphs); train/class_probability/<class> is logged once.
    """

    def __init__(self) -> None:
        self._since, self._crops = 0.0, 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the facts that do not change."""
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

    unit = 1 if sys.platform == "darwin" else 1024  # in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIB


def code_version(path: Path = Path(__file__)) -> dict[str, str | None]:
    """Return the "version" of the package, and the "commit" of its checkout with -dirty if files differ, or None."""
    commit = None
    # A package installed into another project's checkout would report that project's commit.
    if _git(path.parent, "ls-files", "--error-unmatch", path.name):
        commit = _git(path.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return {"version": version("hrda_lit"), "commit": commit}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
