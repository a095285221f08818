"""What there is to see of a validation image and of a training step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hrda_lit.methods.base import LoggedCrops
from hrda_lit.ops.decide import deciding, require_finite
from hrda_lit.ops.resize import resize
from hrda_lit.pictures.layers import Scene, errors, grey, photograph

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

# How the label and the weight of each crop of a step are called; a source pixel weighs 1.
_NAMES = {
    "source": ("source label", None),
    "target": ("pseudo-label", "q"),
    "mixed": ("mixed label", "weight"),
    "masked": ("masked label", "masked_weight"),
}


@torch.no_grad()
def predicted(module: "UDAModule", image: Tensor, label: Tensor, name: str = "") -> Scene:
    """Collect everything there is to see of one labelled image.

    Args:
        module: predicts.
        image: 1 x 3 x h x w, normalised.
        label: 1 x H x W.
        name: of the image's file.

    Returns:
        The image with its label, predictions, attention and error, all of the label's size.
    """
    size = (label.shape[-2], label.shape[-1])
    views = module.inference.views(module.evaluated, image)
    logits = {name: resize(view, size)[0] for name, view in views.items()}
    attention = logits.pop("attention", None)
    for view in logits.values():
        require_finite(view)
    labels = {name: view.argmax(dim=0).cpu() for name, view in logits.items()}
    layers: dict[str, Tensor] = {
        "label": label[0].cpu(),
        **{name: labels[name] for name in ("context", "detail") if name in labels},
    }
    if attention is not None:
        layers["attention"] = grey(deciding(attention.cpu()[None], labels["fused"]))
    layers["prediction" if attention is None else "fused"] = labels["fused"]
    layers["error"] = errors(labels["fused"], layers["label"], module.classes.ignore)
    return Scene(photograph(resize(image, size)[0]), layers, caption=name)


def trained(seen: Mapping[str, LoggedCrops], index: int, names: Mapping[str, str]) -> dict[str, Scene]:
    """Collect what one training step learned from, for one example of the batch.

    Args:
        seen: the crops of the passes, by name.
        index: of the example.
        names: of image files, by domain.

    Returns:
        Scenes by the names of `seen`; a detail box is shown where the student looked at a part.
    """
    return {name: _crop(name, one, index, names.get(name, "")) for name, one in seen.items()}


def _crop(name: str, seen: LoggedCrops, index: int, file: str) -> Scene:
    image, (label, weight) = seen.image[index], _NAMES[name]
    layers, caption = {label: seen.label[index].cpu()}, file
    if weight is not None and seen.weight is not None:
        layers[weight] = grey(seen.weight[index])
        # One number for the batch, so the brightest pixel tells it where nothing is pasted.
        if name == "target":
            caption += f", q = {float(seen.weight[index].max()):.3f}"
    partial = seen.spot is not None and seen.spot.size != (image.shape[-2], image.shape[-1])
    return Scene(photograph(image), layers, {"detail": seen.spot.box()} if partial and seen.spot else {}, caption)
