"""Pictures of a run: what training steps learned from, what the network predicts and gets wrong, and its confusions."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hrda_lit.config.ranges import Number
from hrda_lit.config.values import check_arguments
from hrda_lit.dashboards.dashboard import Dashboard, Example, send_to_all
from hrda_lit.data.classes import Classes
from hrda_lit.data.folder import spread
from hrda_lit.inference.iou import mean_iou
from hrda_lit.methods.base import LoggedCrops
from hrda_lit.ops.finite import require_finite
from hrda_lit.ops.logits import attention_of
from hrda_lit.ops.resize import resize
from hrda_lit.pictures.figures import decode, encode, matrix
from hrda_lit.pictures.layers import Scene, errors, grey, paint, photograph
from hrda_lit.pictures.sheet import in_rows, legend, sheet
from hrda_lit.system.files import BestEffort, write_atomically
from hrda_lit.system.table import as_csv

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

# Names of label and weight of a pass's crops, where they are not <pass> label and <pass>_weight.
_LAYERS = {"target": ("pseudo-label", "q"), "mixed": ("mixed label", "weight")}


@check_arguments
class Pictures(L.Callback):
    """Draw chosen validation images at every validation, and the crops of every n-th training step.

    PNG sheets are written always; dashboards get them too. A validation sheet shows image, label,
    error and, if the network has them, context, detail, attention and fused prediction. A training
    sheet shows the crops of every pass that logs some, with label, weight and detail box.

    Args:
        folder: folder of the files <folder>/step_<t>/<index>.png and <folder>/step_<t>/train_<index>.png.
        count: number of images, spread evenly over the set, and of training crops at most, >= 0.
        every: training steps from one drawn step to the next, >= 0; 0 draws none.
    """

    def __init__(self, folder: str, count: Number = 4, every: Number = 0) -> None:
        self.folder, self.count, self.every = Path(folder), count, every
        self._examples: list[Example] = []  # of the validation
        self._best_effort = BestEffort("pictures")

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ask the module for the crops of a step that is to be drawn."""
        if self.every and self.count and trainer.is_global_zero and trainer.global_step % self.every == 0:
            cast("UDAModule", pl_module).crops = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the crops that the module kept."""
        module = cast("UDAModule", pl_module)
        crops, module.crops = module.crops, None
        if not crops:
            return
        step = trainer.global_step - 1  # the optimiser has counted the step already
        title = f"{module.config.get('name')}: what step {step} learned from"
        file_name, examples = cast(Any, trainer).datamodule.file_name, []
        for index in range(min(self.count, *(len(one.image) for one in crops.values()))):
            files = {domain: Path(file_name(domain, int(part["file"][index]))).name for domain, part in batch.items()}
            scenes = {name: crop_scene(name, one, index, files.get(name, "")) for name, one in crops.items()}
            examples.append(self.draw(step, f"train_{index}", scenes, module.classes, title))
        send_to_all(trainer, lambda board, step: board.show_examples("train", examples, module.classes, step))

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
        index, samples = int(batch["index"]), cast(Any, trainer.val_dataloaders).dataset.samples
        if index not in spread(range(len(samples)), self.count):
            return
        module, step = cast("UDAModule", pl_module), trainer.global_step
        scene = validation_scene(module, batch["image"], batch["label"], samples[index].image.name)
        title = f"{module.config.get('name')}: validation after {step} steps"
        self._examples.append(self.draw(step, f"{index:04d}", {"image": scene}, module.classes, title))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Send all images of a validation at once, so that dashboards show them under one step."""
        examples, self._examples = self._examples, []
        classes = cast("UDAModule", pl_module).classes
        if examples:
            send_to_all(trainer, lambda board, step: board.show_examples("val", examples, classes, step))

    def draw(self, step: int, name: str, scenes: Mapping[str, Scene], classes: Classes, title: str = "") -> Example:
        """Draw a sheet, a row per scene or several rows of one, and write it as step_<step>/<name>.png."""
        rows = paint(scenes, classes)
        masks = [mask for scene in scenes.values() for mask in scene.masks.values()]
        png = encode(sheet(in_rows(rows[0]) if len(rows) == 1 else rows, title, legend(masks, classes)))
        with self._best_effort.writing():
            write_atomically(self.folder / f"step_{step}" / f"{name}.png", png)
        return Example(scenes, png)


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
        png, names = encode(matrix(module.counts, module.classes, title)), module.classes.names
        rows = [[name, *counts] for name, counts in zip(names, module.counts.tolist(), strict=True)]
        with self._best_effort.writing():
            path = self.folder / f"step_{trainer.global_step}.csv"
            write_atomically(path, as_csv([["label", *names], *rows]))
            write_atomically(path.with_suffix(".png"), png)

        def show(dashboard: Dashboard, step: int) -> None:
            dashboard.show_picture("val/pictures/confusion_matrix", decode(png), step)
            # No class has this heading, as "label" may be.
            dashboard.show_table("val/confusion_matrix", [["label / prediction", *names], *rows], step)

        send_to_all(trainer, show)


@torch.no_grad()
def validation_scene(
    module: "UDAModule", image: Float[Tensor, "1 3 h w"], label: Int[Tensor, "1 H W"], name: str = ""
) -> Scene:
    """Predict a normalised image; collect label, predictions, attention and error of the label's size."""
    size = (label.shape[-2], label.shape[-1])
    views = module.inference.views(module.evaluated, image)
    logits = {name: resize(view, size)[0] for name, view in views.items()}
    attention = logits.pop("attention", None)
    for view in logits.values():
        require_finite(view)
    labels = {name: view.argmax(dim=0).cpu() for name, view in logits.items()}
    layers: dict[str, Tensor] = {"label": label[0].cpu()}
    layers |= {name: labels[name] for name in ("context", "detail") if name in labels}
    if attention is not None:
        layers["attention"] = grey(attention_of(attention.cpu()[None], labels["fused"]))
    layers["prediction" if attention is None else "fused"] = labels["fused"]
    layers["error"] = errors(labels["fused"], layers["label"], module.classes.ignore)
    return Scene(photograph(resize(image, size)[0]), layers, caption=name)


def crop_scene(name: str, crops: LoggedCrops, index: int, caption: str = "") -> Scene:
    """Collect the crop of a pass for one example of the batch, with its layers."""
    image = crops.image[index]
    label, weight = _LAYERS.get(name, (f"{name} label", f"{name}_weight"))
    layers = {label: crops.label[index].cpu()}
    if crops.weight is not None:
        layers[weight] = grey(crops.weight[index])
        if weight == "q":
            # One number for the batch, so the brightest pixel has it where nothing is pasted.
            q = f"q = {100 * float(crops.weight[index].max()):.1f} %"
            caption = f"{caption}, {q}" if caption else q
    boxes = {}
    if crops.box is not None and crops.box.size != image.shape[-2:]:
        boxes["detail"] = crops.box.on_host()
    return Scene(photograph(image), layers, boxes, caption)
