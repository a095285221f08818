"""Plain lines for a log: what the run is made of, and every so many steps how it goes."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import lightning as L
from torch import Tensor

from hrda_lit.ops.checks import require_at_least
from hrda_lit.ops.ranges import Count

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

log = logging.getLogger(__name__)

LOSSES = "train/loss/"


class Lines(L.Callback):
    """Write lines to train.log, and to the screen where that is no terminal, which has the progress bar.

    Args:
        every: steps from one line to the next, >= 1.

    Raises:
        ValueError: if it is below 1.
    """

    def __init__(self, every: Count = 50) -> None:
        require_at_least("callbacks.lines.every", every, 1)
        self.every = every
        self._first, self._begun = 0, 0.0
        self._last, self._since = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what the run is made of."""
        self._first = self._last = trainer.global_step
        self._begun = self._since = time.perf_counter()
        if trainer.is_global_zero:
            for line in head(trainer, cast("UDAModule", pl_module)):
                say(line)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how it goes, with the first step, every so many, and the last."""
        step = trainer.global_step
        if not trainer.is_global_zero or not (
            step == self._first + 1 or step % self.every == 0 or step == trainer.max_steps
        ):
            return
        now = time.perf_counter()
        speed = (step - self._last) / (now - self._since)
        left = (trainer.max_steps - step) * (now - self._begun) / (step - self._first)
        numbers = short(trainer.callback_metrics)
        say(f"step {step}/{trainer.max_steps}  {numbers}  {speed:.2g} steps/s  {duration(left)} left")
        self._last, self._since = step, now

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say the score; the time of validation does not count for the speed of steps."""
        if (miou := trainer.callback_metrics.get("val/miou")) is not None and trainer.is_global_zero:
            say(f"step {trainer.global_step}: mIoU {100 * float(miou):.1f} % on the validation set")
        self._last, self._since = trainer.global_step, time.perf_counter()


def head(trainer: L.Trainer, module: "UDAModule") -> list[str]:
    """Return what a run is made of, in two lines."""
    data, config = cast(Any, trainer).datamodule, module.config
    sets = [
        f"{role} {part.name} {split} ({len(part.pairs(split, labelled=False))} images)"
        for role, part, split, _ in data.parts()
    ]
    parameters = sum(p.numel() for p in module.student.parameters()) / 1e6
    height, width = data.pipeline.crop
    size = data.loading.batch_size
    batch = f"{size} + {size}" if len(data.parts()) > 2 or data.val is None else f"{size}"
    device = f"{trainer.world_size} x {module.device.type}" if trainer.world_size > 1 else str(module.device)
    return [
        f"{config.get('name')}: {', '.join(sets)}; {len(module.classes)} classes",
        f"{module.student.backbone.name} of {parameters:.1f} million parameters with its heads; crops of {height} x "
        f"{width}, batch {batch}; {device}, {trainer.precision}; steps {trainer.global_step} to {trainer.max_steps}",
    ]


def short(metrics: Mapping[str, Tensor]) -> str:
    """Write the latest mIoU, the losses by pass and q, as far as they are there."""
    parts = [f"mIoU {100 * float(metrics['val/miou']):.1f}"] if "val/miou" in metrics else []
    parts += [
        f"{name.removeprefix(LOSSES)} {float(value):.3g}" for name, value in metrics.items() if name.startswith(LOSSES)
    ]
    parts += [f"q {float(metrics['train/pseudo/q']):.2f}"] if "train/pseudo/q" in metrics else []
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Write a time as "2 h 05 min", "3 min" or "40 s"."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def say(line: str) -> None:
    """Write a line to the log, past a terminal, whose bar it would break."""
    if not sys.stdout.isatty():
        log.info(line)
        return
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, line, (), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
