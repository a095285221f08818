"""The confusion matrix of every validation, as a table and a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import lightning as L

from hrda_lit.dashboards.dashboard import confusion_lines, dashboards, logged_step
from hrda_lit.inference.iou import mean_iou
from hrda_lit.pictures.figures import encode, matrix
from hrda_lit.system.files import BestEffort, write_atomically
from hrda_lit.system.table import as_csv

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule


class ConfusionMatrix(L.Callback):
    """Write the matrix of a whole validation, in pixels, as <folder>/step_<t>.csv and .png, and log it."""

    def __init__(self, folder: str) -> None:
        self.folder, self._best_effort = Path(folder), BestEffort("confusion matrices")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write and send the matrix that the module has just summed over all devices."""
        module = cast("UDAModule", pl_module)
        if module.counts is None or not trainer.is_global_zero:
            return
        score = 100 * mean_iou(module.iou) if module.iou is not None else float("nan")
        title = f"{module.config.get('name')} after {trainer.global_step} steps: mIoU {score:.1f} %"
        png = encode(matrix(module.counts, module.classes, title))
        with self._best_effort.writing():
            path = self.folder / f"step_{trainer.global_step}.csv"
            write_atomically(path, as_csv(confusion_lines("label", module.counts, module.classes)))
            write_atomically(path.with_suffix(".png"), png)
        for dashboard in dashboards(trainer):
            dashboard.send(dashboard.show_confusion, module.counts, module.classes, png, logged_step(trainer))
