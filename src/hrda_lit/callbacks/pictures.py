"""Pictures of validation images: what the network sees, predicts and gets wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch
from torch import Tensor

from hrda_lit.files import write_atomically
from hrda_lit.ops.resize import resize
from hrda_lit.pictures import colourise, errors, grey, panels, photograph

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule


class Pictures(L.Callback):
    """Write one sheet per chosen validation image at every validation.

    A sheet shows image, label, error and, where the network has them, context, detail, attention and fused prediction.

    Args:
        folder: where; files are <folder>/step=<t>/<index>.png.
        count: how many images, spread evenly over the set, >= 0.
    """

    def __init__(self, folder: str, count: int = 4) -> None:
        self.folder, self.count = Path(folder), count

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
        index, total = int(batch["index"]), len(cast(Any, trainer.val_dataloaders).dataset)
        if index not in {total * k // self.count for k in range(self.count)}:
            return
        sheet = panels(draw(cast("UDAModule", pl_module), batch["image"], batch["label"]))
        write_atomically(self.folder / f"step={trainer.global_step}" / f"{index:04d}.png", sheet)


@torch.no_grad()
def draw(module: "UDAModule", image: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Paint everything there is to see of one labelled image.

    Args:
        module: predicts.
        image: 1 x 3 x h x w, normalised.
        label: 1 x H x W.

    Returns:
        Title to picture, all of the label's size.
    """
    size = (label.shape[-2], label.shape[-1])
    views = module.inference.views(module.evaluated, image)
    logits = {name: resize(view, size)[0] for name, view in views.items()}
    attention = logits.pop("attention", None)
    labels = {name: view.argmax(dim=0) for name, view in logits.items()}
    pictures = {"image": photograph(resize(image, size)[0]), "label": colourise(label[0], module.classes)}
    for name in ("context", "detail"):
        if name in labels:
            pictures[f"{name} prediction"] = colourise(labels[name], module.classes)
    if attention is not None:
        pictures["scale attention (white: detail)"] = grey(_attention_of(attention, labels["fused"]))
    title = "prediction" if attention is None else "fused prediction"
    pictures[title] = colourise(labels["fused"], module.classes)
    pictures["error"] = errors(labels["fused"].cpu(), label[0].cpu(), module.classes.ignore)
    return pictures


def _attention_of(attention: Tensor, prediction: Tensor) -> Tensor:
    """Take the attention of the predicted class, which decided the pixel."""
    if attention.shape[0] == 1:
        return attention[0]
    return attention.gather(0, prediction.unsqueeze(0))[0]
