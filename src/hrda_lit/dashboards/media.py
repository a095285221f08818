"""Sending pictures to whichever loggers a run has; the only file that knows W&B's media."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
from jaxtyping import Int
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.ops.boxes import Box
from hrda_lit.pictures.figures import decode
from hrda_lit.pictures.layers import Picture, Scene, paint, pil
from hrda_lit.pictures.sheet import in_rows, legend, sheet
from hrda_lit.runs.loggers import Shows, Tabulates

if TYPE_CHECKING:
    import wandb

Sheet = Mapping[str, Scene]  # the scenes of one example, by name
_STEP = "trainer/global_step"  # Lightning's name of W&B's horizontal axis
_CORNER = "label / prediction"  # heads the column of names, and is the name of no class, as "label" may be


def drawn(scenes: Sheet, classes: Classes, title: str = "") -> Figure:
    """Draw the scenes of an example with their layers: a row each, or several where there is one alone.

    Args:
        scenes: by name.
        classes: of their masks; those that occur are explained.
        title: of the sheet.
    """
    rows = paint(scenes, classes)
    masks = [mask for scene in scenes.values() for mask in scene.masks.values()]
    return sheet(in_rows(rows[0]) if len(rows) == 1 else rows, title, legend(masks, classes))


def send_sheets(
    trainer: L.Trainer, stage: str, sheets: Sequence[Sheet], files: Sequence[bytes], classes: Classes
) -> None:
    """Send examples to W&B as images with masks and boxes that can be switched, to others as sheets.

    W&B gets <stage>/pictures/<scene> with the masks and boxes of the scene and <stage>/pictures/<extra> for its other
    layers; TensorBoard, MLflow and Trackio get <stage>/pictures/<index>.

    Args:
        trainer: has the loggers.
        stage: "train" or "val".
        sheets: at least one, all with the same scenes and layers.
        files: PNG of each sheet.
        classes: of the masks.
    """
    for logger in trainer.loggers if trainer.is_global_zero else ():
        if isinstance(logger, WandbLogger):
            logger.experiment.log({**_wandb_images(stage, sheets, classes), _STEP: _step(trainer)})
        elif isinstance(logger, Shows):
            for index, png in enumerate(files):
                logger.show(f"{stage}/pictures/{index}", decode(png), _step(trainer))


def send_confusion(trainer: L.Trainer, counts: Int[Tensor, "C C"], classes: Classes, png: bytes) -> None:
    """Send a confusion matrix: as a picture, to W&B as a chart of its counts too, to MLflow and Trackio as a table.

    Args:
        trainer: has the loggers.
        counts: pixels by label (rows) and prediction (columns).
        classes: names.
        png: of the picture of it.
    """
    for logger in trainer.loggers if trainer.is_global_zero else ():
        if isinstance(logger, WandbLogger):
            charts = {"val/confusion_matrix": _wandb_matrix(counts, classes)}
            images = {"val/pictures/confusion_matrix": _wandb_image(np.asarray(decode(png)))}
            logger.experiment.log({**charts, **images, _STEP: _step(trainer)})
        elif isinstance(logger, Shows):
            logger.show("val/pictures/confusion_matrix", decode(png), _step(trainer))
        if isinstance(logger, Tabulates):
            logger.tabulate("val/confusion_matrix", _rows(counts, classes), _step(trainer))


def _step(trainer: L.Trainer) -> int:
    # As Lightning logs numbers: those of a fit under the index of the step that was done last.
    return max(trainer.global_step - (trainer.state.fn == TrainerFn.FITTING), 0)


def _rows(counts: Int[Tensor, "C C"], classes: Classes) -> list[dict[str, Any]]:
    return [
        {_CORNER: name, **dict(zip(classes.names, row, strict=True))}
        for name, row in zip(classes.names, counts.tolist(), strict=True)
    ]


def _wandb_images(stage: str, sheets: Sequence[Sheet], classes: Classes) -> "dict[str, list[wandb.Image]]":
    images: dict[str, list[wandb.Image]] = {}
    for scenes in sheets:
        for name, scene in scenes.items():
            masks = {key: _wandb_mask(mask, classes) for key, mask in scene.masks.items()}
            boxes = {key: _wandb_box(key, box) for key, box in scene.boxes.items()}
            # Lightning's log_image would drop masks given inside a wandb.Image.
            image = _wandb_image(scene.image, caption=scene.caption or None, masks=masks or None, boxes=boxes or None)
            images.setdefault(f"{stage}/pictures/{name}", []).append(image)
            for key, extra in scene.extras.items():
                images.setdefault(f"{stage}/pictures/{key}", []).append(_wandb_image(extra))
    return images


def _wandb_image(picture: Picture | np.ndarray, **options: Any) -> "wandb.Image":
    import wandb

    return wandb.Image(picture if isinstance(picture, np.ndarray) else pil(picture), **options)


def _wandb_mask(mask: Int[Tensor, "H W"], classes: Classes) -> dict[str, Any]:
    names = {**dict(enumerate(classes.names)), classes.ignore: "unlabelled"}
    return {"mask_data": mask.cpu().numpy().astype(np.uint8), "class_labels": names}


def _wandb_box(name: str, box: Box) -> dict[str, Any]:
    position = {"minX": box.left, "maxX": box.right, "minY": box.top, "maxY": box.bottom}
    data = {"position": position, "domain": "pixel", "class_id": 0, "box_caption": name}
    return {"box_data": [data], "class_labels": {0: name}}


def _wandb_matrix(counts: Int[Tensor, "C C"], classes: Classes) -> Any:
    import wandb

    # wandb.plot.confusion_matrix wants one entry per pixel; its chart takes counts as well.
    rows = [
        [label, prediction, int(counts[i, j])]
        for i, label in enumerate(classes.names)
        for j, prediction in enumerate(classes.names)
    ]
    columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
    return wandb.plot_table(
        "wandb/confusion_matrix/v1",
        wandb.Table(columns=columns, data=rows),
        {str(name): str(name) for name in columns},
        {"title": "pixels by label and prediction"},
    )
