"""Pictures of a run: what the network sees, predicts and gets wrong, and what a training step learns from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning as L
from torch import Tensor

from hrda_lit.dashboards.media import Sheet, drawn, send_sheets
from hrda_lit.dashboards.scenes import predicted, trained
from hrda_lit.data.classes import Classes
from hrda_lit.ops.checks import require_at_least
from hrda_lit.ops.ranges import Number
from hrda_lit.pictures.figures import encode
from hrda_lit.pictures.layers import Picture, paint
from hrda_lit.system.best_effort import BestEffort
from hrda_lit.system.files import write_atomically

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule


class Pictures(L.Callback):
    """Draw chosen validation images at every validation, and the crops of every n-th training step.

    PNG sheets are written always; loggers that take pictures get them too. A validation sheet shows image, label,
    error and, where the network has them, context, detail, attention and fused prediction. A training sheet shows
    exactly what the step trained on: source, target with pseudo-label and q, mixed and masked crops, detail boxes.

    Args:
        folder: where; files are <folder>/step_<t>/<index>.png and <folder>/step_<t>/train_<index>.png.
        count: how many images, spread evenly over the set, and how many training crops at most, >= 0.
        every: training steps from one drawn step to the next; 0 draws none.

    Raises:
        ValueError: if count or every is negative.
    """

    def __init__(self, folder: str, count: Number = 4, every: Number = 0) -> None:
        require_at_least("callbacks.pictures.count", count, 0)
        require_at_least("callbacks.pictures.every", every, 0)
        self.folder, self.count, self.every = Path(folder), count, every
        self._sheets: list[Sheet] = []
        self._files: list[bytes] = []  # of the sheets
        self._best_effort = BestEffort("pictures")

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ask the module for the crops of a step that is to be drawn."""
        if self.every and self.count and trainer.is_global_zero and trainer.global_step % self.every == 0:
            cast("UDAModule", pl_module).seen = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the crops that the module kept."""
        module = cast("UDAModule", pl_module)
        seen, module.seen = module.seen, None
        if not seen:
            return
        total = min(self.count, len(seen["source"].image))
        sheets = [trained(seen, index, _names(trainer, batch, index)) for index in range(total)]
        step = trainer.global_step - 1  # the optimiser has counted the step already
        title = f"{_run(module)}: what step {step} learned from"
        files = [self._write(step, f"train_{i}", sheet, module.classes, title) for i, sheet in enumerate(sheets)]
        send_sheets(trainer, "train", sheets, files, module.classes)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the image if it is one of the chosen."""
        index, data = int(batch["index"]), cast(Any, trainer.val_dataloaders).dataset
        if index not in {len(data) * k // self.count for k in range(self.count)}:
            return
        module, step = cast("UDAModule", pl_module), trainer.global_step
        sheet = {"image": predicted(module, batch["image"], batch["label"], data.samples[index].image.name)}
        title = f"{_run(module)}: validation after {step} steps"
        self._sheets.append(sheet)
        self._files.append(self._write(step, f"{index:04d}", sheet, module.classes, title))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Send all images of a validation at once, so that loggers show them under one step."""
        if self._sheets:
            send_sheets(trainer, "val", self._sheets, self._files, cast("UDAModule", pl_module).classes)
        self._sheets, self._files = [], []

    def _write(self, step: int, name: str, sheet: Sheet, classes: Classes, title: str = "") -> bytes:
        """Draw a sheet, write it if it can be, and return the file for the loggers."""
        png = encode(drawn(sheet, classes, title))
        with self._best_effort.writing():
            write_atomically(self.folder / f"step_{step}" / f"{name}.png", png)
        return png


def _run(module: "UDAModule") -> str:
    return str(module.config.get("name", "run"))


def _names(trainer: L.Trainer, batch: Any, index: int) -> dict[str, str]:
    """Return the names of the files that an example of a batch was cut from, by domain."""
    file_name = cast(Any, trainer).datamodule.file_name
    return {domain: Path(file_name(domain, int(part["file"][index]))).name for domain, part in batch.items()}


def draw(module: "UDAModule", image: Tensor, label: Tensor) -> dict[str, Picture]:
    """Paint what `predicted` collects.

    Args:
        module: predicts.
        image: 1 x 3 x h x w, normalised.
        label: 1 x H x W.

    Returns:
        Title to picture, all of the label's size.
    """
    [row] = paint({"image": predicted(module, image, label)}, module.classes)
    return row
