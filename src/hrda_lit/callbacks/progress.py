"""The progress bar: losses, q and the latest validation mIoU by short names."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar


class Progress(RichProgressBar):
    """Show one bar over all steps of the run, with the last part of each logged name."""

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Shorten "train/loss/source" to "source" and leave out the version of the logger."""
        items: dict[str, Any] = super().get_metrics(trainer, pl_module)
        return {name.rsplit("/", 1)[-1]: value for name, value in items.items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        # Draws with replacement have no epochs; Lightning would show "Epoch 0/-2".
        return "training"
