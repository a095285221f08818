"""The progress bar in a terminal: steps of the whole run, speed, time left, the latest mIoU, losses and q."""

from contextlib import ExitStack
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column

from hrda_lit.ops.ranges import Positive
from hrda_lit.runs.console import short
from hrda_lit.system.progress import logs_above


class Progress(ProgressBar):
    """Show a line for the training and, while it lasts, one for the validation; nothing without a terminal.

    Numbers are read with the steps that are logged, so that the bar never waits for a GPU.

    Args:
        refresh_rate: times per second that it is drawn, > 0.
    """

    def __init__(self, refresh_rate: Positive = 5) -> None:
        super().__init__()
        self._console = Console()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[said]}", table_column=Column(no_wrap=True, ratio=1)),
            console=self._console,
            refresh_per_second=refresh_rate,
            transient=True,
            expand=True,  # so that the text gets what the others leave
        )
        self._enabled, self._open = self._console.is_terminal, ExitStack()
        self._training: TaskID | None = None
        self._validation: TaskID | None = None

    def disable(self) -> None:
        """Show nothing, as on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show it where there is a terminal."""
        self._enabled = self._console.is_terminal

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        self._console.print(*args, **kwargs)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin where the run is, which may have been resumed."""
        if self._enabled:
            step = trainer.global_step
            self._training = self._bars.add_task("training", total=trainer.max_steps, completed=step, said="")
            self._start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step."""
        if self._training is not None:
            self._bars.update(self._training, completed=trainer.global_step)
            if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
                self._say(trainer)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the image."""
        if not self._enabled:
            return
        if self._validation is None:
            total = self.total_val_batches_current_dataloader if self.has_dataloader_changed(dataloader_idx) else None
            self._validation = self._bars.add_task("validation", total=total, said="")
            self._start()
        self._bars.update(self._validation, completed=batch_idx + 1)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove the validation's line."""
        self.reset_dataloader_idx_tracker()
        if self._validation is not None:
            self._bars.remove_task(self._validation)
            self._validation = None
        if self._training is not None:
            self._say(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Remove the bar; what the run came to is printed as a table."""
        self._open.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Remove the bar, so that the error stands alone."""
        self._open.close()

    def _start(self) -> None:
        if not self._bars.live.is_started:
            self._open.enter_context(self._bars)
            self._open.enter_context(logs_above())

    def _say(self, trainer: L.Trainer) -> None:
        assert self._training is not None
        self._bars.update(self._training, said=short(trainer.callback_metrics))
