"""How a run is shown while it trains: its parts, lines in its log, and in a terminal a progress bar."""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from torch import Tensor

from hrda_lit.config.ranges import Count, Positive
from hrda_lit.config.values import check_arguments
from hrda_lit.module import UDAModule
from hrda_lit.system.progress import logs_above
from hrda_lit.system.text import is_terminal

log = logging.getLogger(__name__)

LOSSES = "train/loss/"


@check_arguments
class ConsoleLog(L.Callback):
    """Log what the run is made of and a line `every` n steps, for which a terminal has the progress bar.

    Raises:
        ValueError: if `every` is below 1.
    """

    def __init__(self, every: Count = 50) -> None:
        self.every = every
        self._first, self._begun = 0, 0.0
        self._last, self._since = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what the run is made of."""
        self._first = self._last = trainer.global_step
        self._begun = self._since = time.perf_counter()
        if trainer.is_global_zero:
            for line in describe_run(trainer, cast(UDAModule, pl_module)):
                log.info("%s", line)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log numbers, speed and time left after the first step, every so many, and the last."""
        step = trainer.global_step
        due = step == self._first + 1 or step % self.every == 0 or step == trainer.max_steps
        if not trainer.is_global_zero or not due:
            return
        now = time.perf_counter()
        speed = (step - self._last) / (now - self._since)
        left = (trainer.max_steps - step) * (now - self._begun) / (step - self._first)
        numbers = "  ".join(f"{name} {value}" for name, value in summarise(trainer.callback_metrics).items())
        log_line(f"step {step}/{trainer.max_steps}  {numbers}  {speed:.2g} steps/s  {duration(left)} left")
        self._last, self._since = step, now

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the score; the time of validation does not count for the speed of steps."""
        miou = trainer.callback_metrics.get("val/miou")
        if miou is not None and trainer.is_global_zero:
            log_line(f"step {trainer.global_step}: mIoU {100 * float(miou):.1f} % on the validation set")
        self._last, self._since = trainer.global_step, time.perf_counter()


class Progress(RichProgressBar):
    """Show a line for the training and, while it lasts, one for the validation; nothing without a terminal.

    It is drawn `refresh_rate` times per second. Numbers are those of logged steps, so it never waits for a GPU.
    """

    def __init__(self, refresh_rate: Positive = 5) -> None:
        theme = RichProgressBarTheme(metrics="", metrics_text_delimiter="  ")
        super().__init__(refresh_rate, theme=theme)  # type: ignore[arg-type]  # any number will do
        self._in_terminal, self._redirected = Console().is_terminal, ExitStack()

    @property
    def is_enabled(self) -> bool:
        """Return whether anything is drawn."""
        return super().is_enabled and self._in_terminal

    @property
    def validation_description(self) -> str:
        """Return the name of the validation's line."""
        return "validation"

    @property
    def total_train_batches(self) -> int:
        """Return the steps of the whole run."""
        return self.trainer.max_steps

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Return the columns; that of the numbers follows, and gets what the others leave."""
        done = BarColumn(bar_width=10), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
        return [TextColumn("{task.description}"), *done]

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return the latest mIoU, losses and q."""
        return dict(summarise(trainer.callback_metrics))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin where the run is, which may have been resumed."""
        super().on_train_epoch_start(trainer, pl_module)
        if self.progress is not None and self.train_progress_bar_id is not None:
            self.progress.reset(self.train_progress_bar_id, completed=trainer.global_step)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Remove the bar; a run ends with a table."""
        self._redirected.close()
        super().teardown(trainer, pl_module, stage)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Remove the bar, so that nothing but the error is left."""
        self._redirected.close()
        super().on_exception(trainer, pl_module, exception)

    def _get_train_description(self, current_epoch: int) -> str:
        return "training"

    def _init_progress(self, trainer: L.Trainer) -> None:
        begun = self.progress
        super()._init_progress(trainer)
        if self.progress is not None and self.progress is not begun:
            assert self._metric_component is not None
            self._metric_component._table_column = Column(no_wrap=True, ratio=1)
            self.progress.expand = self.progress.live.transient = True
            self._redirected.enter_context(logs_above())

    def _update_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.validating or trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            super()._update_metrics(trainer, pl_module)


def describe_run(trainer: L.Trainer, module: UDAModule) -> list[str]:
    """Return what a run is made of: data, classes, network, crops, device, folder."""
    data, config = cast(Any, trainer).datamodule, module.config
    sets = []
    for role, dataset, split, _ in data.data_splits():
        sets.append(f"{role} {dataset.name} {split} ({len(dataset.pairs(split, labelled=False))} images)")
    height, width = data.pipeline.crop
    size = data.loading.batch_size
    batch = f"{size} + {size}" if len(data.data_splits()) > 2 or data.val is None else f"{size}"
    device = f"{trainer.world_size} x {module.device.type}" if trainer.world_size > 1 else str(module.device)
    return [
        f"{config.get('name')}: {', '.join(sets)}; {len(module.classes)} classes",
        f"{module.student.backbone.name} with its heads, {_count_parameters(module)}; crops of {height} x {width}, "
        f"batch {batch}; {device}, {trainer.precision}; steps {trainer.global_step} to {trainer.max_steps}",
        f"results go to {config.get('run_dir')}",
    ]


def _count_parameters(module: UDAModule) -> str:
    parameters = list(module.student.parameters())
    every = sum(one.numel() for one in parameters) / 1e6
    trained = sum(one.numel() for one in parameters if one.requires_grad) / 1e6
    return f"{every:.1f} million parameters, {'all' if trained == every else f'{trained:.1f} million'} of them trained"


def summarise(metrics: Mapping[str, Tensor]) -> dict[str, str]:
    """Write the latest mIoU, the losses by pass and q, as far as they were logged."""
    shown = {"mIoU": f"{100 * float(metrics['val/miou']):.1f}"} if "val/miou" in metrics else {}
    for name, value in metrics.items():
        if name.startswith(LOSSES):
            shown[name.removeprefix(LOSSES)] = f"{float(value):.3g}"
    if "train/pseudo/q" in metrics:
        shown["q"] = f"{float(metrics['train/pseudo/q']):.2f}"
    return shown


def duration(seconds: float) -> str:
    """Write a time as "2 h 05 min", "3 min" or "40 s"."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def log_line(line: str) -> None:
    """Log a line, but not to a terminal, which has the bar."""
    if not is_terminal(sys.stdout):
        log.info("%s", line)
        return
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, "%s", (line,), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
