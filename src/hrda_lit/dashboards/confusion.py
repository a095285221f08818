"""The confusion matrix of every validation, as a table and a picture."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, cast

import lightning as L
from jaxtyping import Int
from torch import Tensor

from hrda_lit.dashboards.dashboard import dashboards, logged_step
from hrda_lit.data.classes import Classes
from hrda_lit.inference.iou import mean_iou
from hrda_lit.pictures.figures import encode
from hrda_lit.pictures.matrix import matrix
from hrda_lit.system.best_effort import BestEffort
from hrda_lit.system.files import write_atomically

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule


class ConfusionMatrix(L.Callback):
    """Write the matrix over the whole validation set, and send it to the dashboards.

    Args:
        folder: folder of the files <folder>/step_<t>.csv, in pixels, and <folder>/step_<t>.png.
    """

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
            write_atomically(path, as_csv(module.counts, module.classes))
            write_atomically(path.with_suffix(".png"), png)
        for dashboard in dashboards(trainer):
            dashboard.show_confusion(module.counts, module.classes, png, logged_step(trainer))


def as_csv(counts: Int[Tensor, "C C"], classes: Classes) -> bytes:
    """Write one line per label and one column per prediction, in pixels."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(("label", *classes.names))
    writer.writerows((name, *row) for name, row in zip(classes.names, counts.tolist(), strict=True))
    return page.getvalue().encode()
