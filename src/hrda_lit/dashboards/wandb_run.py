"""W&B: masks and boxes that can be switched, the confusion matrix as a chart, mIoU first in the summary."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from hrda_lit.dashboards.dashboard import Dashboard, Example, Lines, connecting
from hrda_lit.dashboards.run_name import name_run
from hrda_lit.data.classes import Classes
from hrda_lit.pictures.layers import Scene

with connecting("wandb"):
    import wandb

Mode = Literal["online", "offline", "disabled", "shared", "dryrun", "run"]
_OFFLINE = ("offline", "dryrun", "disabled")
_PATIENCE = 20.0  # seconds in which the server has to take a new run
_STEP = "trainer/global_step"  # Lightning's name of W&B's horizontal axis


class WandbRun(Dashboard, WandbLogger):
    """W&B's logger; a resumed run keeps its id.

    A run is named by `name_run` from the first four arguments. Mode "online" needs a login, "offline" keeps
    the run for `wandb sync`, "disabled" logs nothing. `options` are those of Lightning's WandbLogger and of
    wandb.init; a `group` among them goes first.

    Raises:
        ValueError: if it should go online, and W&B does not answer or nobody is logged in.
    """

    title, remedy = "W&B", "set logger.wandb.mode=offline and run `wandb sync` later"

    def __init__(
        self, name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, mode: Mode, **options: Any
    ) -> None:
        with connecting("wandb", f"logger.wandb.mode={mode}", self.remedy):
            # Else wandb would ask at a terminal, or fail when data have been read and a model is built.
            if mode not in _OFFLINE and not wandb.login(prompt=False, verify=True):
                raise ValueError("it needs a login: run `wandb login` once, or set WANDB_API_KEY")
        run_name, group = name_run(name, save_dir, overrides, sweep_dir)
        settings = wandb.Settings(init_timeout=_PATIENCE)
        super().__init__(run_name, save_dir, mode=mode, **{"group": group, "settings": settings, **options})
        self._wandb_init.pop("anonymous", None)  # Lightning's default, of which W&B warns

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
                images[f"{stage}/pictures/{name}"].append(_image(scene, classes))
                for extra, picture in scene.extras.items():
                    images[f"{stage}/pictures/{extra}"].append(wandb.Image(to_pil_image(picture)))
        self.experiment.log({**images, _STEP: step})

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show counts of pixels by label (rows) and prediction (columns) as a chart."""
        # wandb.plot.confusion_matrix needs one entry per pixel; its chart takes counts as well.
        fields = {field: field for field in ("Actual", "Predicted", "nPredictions")}
        cells = []
        for label, *counts in lines[1:]:
            cells += [[label, *cell] for cell in zip(lines[0][1:], counts, strict=True)]
        table, title = wandb.Table(columns=list(fields), data=cells), {"title": "pixels by label and prediction"}
        self.experiment.log({name: wandb.plot_table("wandb/confusion_matrix/v1", table, fields, title), _STEP: step})


def _image(scene: Scene, classes: Classes) -> wandb.Image:
    names = {**dict(enumerate(classes.names)), classes.ignore: "unlabelled"}
    masks, boxes = {}, {}
    for key, mask in scene.masks.items():
        masks[key] = {"mask_data": mask.cpu().numpy().astype(np.uint8), "class_labels": names}
    for key, box in scene.boxes.items():
        position = {"minX": box.left, "maxX": box.right, "minY": box.top, "maxY": box.bottom}
        data = {"position": position, "domain": "pixel", "class_id": 0, "box_caption": key}
        boxes[key] = {"box_data": [data], "class_labels": {0: key}}
    # Lightning's log_image would drop masks given inside a wandb.Image.
    return wandb.Image(to_pil_image(scene.image), caption=scene.caption or None, masks=masks, boxes=boxes)
