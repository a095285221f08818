"""W&B: masks and boxes that can be switched, the confusion matrix as a chart, mIoU first in the summary."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch import Tensor

from hrda_lit.dashboards.dashboard import Dashboard, Example, connecting, name_run
from hrda_lit.data.classes import Classes
from hrda_lit.pictures.figures import decode
from hrda_lit.pictures.layers import Scene, pil

with connecting("wandb"):
    import wandb

Mode = Literal["online", "offline", "disabled", "shared", "dryrun", "run"]
_OFFLINE = ("offline", "dryrun", "disabled")
_PATIENCE = 20.0  # seconds in which the server has to take a new run
_STEP = "trainer/global_step"  # Lightning's name of W&B's horizontal axis


class WandbRun(Dashboard, WandbLogger):
    """W&B's logger; a resumed run keeps its id."""

    title, remedy = "W&B", "set logger.wandb.mode=offline and run `wandb sync` later"

    def continue_run(self, version: str) -> None:
        """Continue the run of that id, or start one where W&B does not know it."""
        self._id = version
        self._wandb_init.update(id=version, resume="allow")

    def show_numbers(self, metrics: Mapping[str, float], step: int) -> None:
        """Show numbers; the latest mIoU also tops the summary, which W&B sorts, capitals first."""
        super().show_numbers(metrics, step)
        if "val/miou" in metrics:
            self.experiment.summary["mIoU"] = metrics["val/miou"]

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""
        self.experiment.log({name: wandb.Image(picture), _STEP: step})

    def show_examples(self, stage: str, examples: Sequence[Example], classes: Classes, step: int) -> None:
        """Show <stage>/pictures/<scene> with masks and boxes, <stage>/pictures/<extra> for other layers."""
        images: dict[str, list[wandb.Image]] = defaultdict(list)
        for example in examples:
            for name, scene in example.scenes.items():
                images[f"{stage}/pictures/{name}"].append(_scene(scene, classes))
                for extra, picture in scene.extras.items():
                    images[f"{stage}/pictures/{extra}"].append(wandb.Image(pil(picture)))
        self.experiment.log({**images, _STEP: step})

    def show_confusion(self, counts: Int[Tensor, "C C"], classes: Classes, png: bytes, step: int) -> None:
        """Show the picture and a chart of the counts."""
        chart, picture = _confusion_chart(counts, classes), wandb.Image(decode(png))
        shown = {"val/confusion_matrix": chart, "val/pictures/confusion_matrix": picture}
        self.experiment.log({**shown, _STEP: step})


def wandb_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, mode: Mode = "online", **options: Any
) -> WandbRun:
    """Build W&B's logger of a run named by `name_run` from the first four arguments.

    Mode "online" needs a login, "offline" keeps the run for `wandb sync`, "disabled" logs nothing.
    `options` are those of Lightning's WandbLogger and of wandb.init; a `group` among them goes first.

    Raises:
        ValueError: if it should go online, and W&B does not answer or nobody is logged in.
    """
    with connecting("wandb", f"logger.wandb.mode={mode}", WandbRun.remedy):
        # Else wandb would ask at a terminal, or fail when data have been read and a model is built.
        is_ready = mode in _OFFLINE or wandb.login(prompt=False, verify=True)
    if not is_ready:
        raise ValueError(
            f"logger.wandb.mode={mode} needs a login at W&B; run `wandb login` once, set WANDB_API_KEY, or "
            f"{WandbRun.remedy}."
        )
    run_name, group = name_run(name, save_dir, overrides, sweep_dir)
    settings = wandb.Settings(init_timeout=_PATIENCE)
    logger = WandbRun(run_name, save_dir, mode=mode, **{"group": group, "settings": settings, **options})
    logger._wandb_init.pop("anonymous", None)  # Lightning's default, of which W&B warns
    return logger


def _scene(scene: Scene, classes: Classes) -> wandb.Image:
    names = {**dict(enumerate(classes.names)), classes.ignore: "unlabelled"}
    masks = {}
    for key, mask in scene.masks.items():
        masks[key] = {"mask_data": mask.cpu().numpy().astype(np.uint8), "class_labels": names}
    boxes = {}
    for key, box in scene.boxes.items():
        position = {"minX": box.left, "maxX": box.right, "minY": box.top, "maxY": box.bottom}
        data = {"position": position, "domain": "pixel", "class_id": 0, "box_caption": key}
        boxes[key] = {"box_data": [data], "class_labels": {0: key}}
    # Lightning's log_image would drop masks given inside a wandb.Image.
    caption = scene.caption or None
    return wandb.Image(pil(scene.image), caption=caption, masks=masks or None, boxes=boxes or None)


def _confusion_chart(counts: Int[Tensor, "C C"], classes: Classes) -> Any:
    # wandb.plot.confusion_matrix needs one entry per pixel; its chart takes counts as well.
    columns = ["Actual", "Predicted", "nPredictions"]
    pairs = product(classes.names, classes.names)
    rows = [[*pair, count] for pair, count in zip(pairs, counts.flatten().tolist(), strict=True)]
    table = wandb.Table(columns=columns, data=rows)
    fields = {column: column for column in columns}
    title = {"title": "pixels by label and prediction"}
    return wandb.plot_table("wandb/confusion_matrix/v1", table, fields, title)
