"""Images and their layers (labels, predictions, attention, errors) as pictures."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from hrda_lit.data.classes import Classes
from hrda_lit.ops.boxes import Box
from hrda_lit.ops.normalise import denormalise

Picture = UInt8[Tensor, "3 H W"]

# Titles of layers; the text after a line break explains the colours.
TITLES = {
    "context": "context prediction",
    "detail": "detail prediction",
    "attention": "scale attention\nwhite: detail, black: context",
    "fused": "fused prediction",
    "confidence": "confidence\nwhite: 100 %, black: 0 %",
    "error": "error\nred: wrong, pale: right, black: no label",
    "q": "weight q of each pixel's loss\nwhite: 100 %, black: 0 %",
    "weight": "weight of each pixel's loss\nwhite: 100 %, black: 0 %",
    "masked_weight": "weight of each pixel's loss\nwhite: 100 %, black: 0 %",
}


class Scene(NamedTuple):
    """An image with its layers."""

    image: Picture  # RGB
    layers: Mapping[str, Tensor] = {}  # class ids (H x W) or pictures (3 x H x W) by name
    boxes: Mapping[str, Box] = {}  # rectangles to draw on the image, in pixels
    caption: str = ""  # a few words below the title

    @property
    def masks(self) -> dict[str, Tensor]:
        """Return the layers of class ids."""
        return {name: layer for name, layer in self.layers.items() if layer.dim() == 2}

    @property
    def extras(self) -> dict[str, Picture]:
        """Return the layers that are pictures."""
        return {name: layer for name, layer in self.layers.items() if layer.dim() == 3}


def colourise(label: Int[Tensor, "H W"], classes: Classes) -> Picture:
    """Convert class ids to their colours; ignored pixels are black."""
    table = torch.zeros(256, 3, dtype=torch.uint8)
    table[: len(classes)] = torch.tensor(classes.colours, dtype=torch.uint8)
    return table[label.long().cpu()].permute(2, 0, 1)


def grey(values: Float[Tensor, "H W"]) -> Picture:
    """Convert numbers in [0, 1] to grey, 1 is white."""
    return (values.detach().float().cpu().clamp(0, 1) * 255).byte().expand(3, -1, -1)


def photograph(image: Float[Tensor, "3 H W"]) -> Picture:
    """Undo the normalisation of a network's input."""
    return (denormalise(image.detach().float().cpu()).clamp(0, 1) * 255).round().byte()


def errors(prediction: Int[Tensor, "H W"], label: Int[Tensor, "H W"], ignore: int) -> Picture:
    """Paint wrong pixels red, right ones pale, ignored ones black."""
    wrong, ignored = (prediction != label).cpu(), (label == ignore).cpu()
    colours = torch.where(wrong, torch.tensor([220, 30, 30]).view(3, 1, 1), torch.tensor(225).view(1, 1, 1))
    return torch.where(ignored, 0, colours).byte()


def paint(scenes: Mapping[str, Scene], classes: Classes) -> list[dict[str, Picture]]:
    """Paint scenes of one size layer by layer, with titles that explain themselves, for `sheet`."""
    rows = []
    for name, scene in scenes.items():
        title = f"{name}: {scene.caption}" if scene.caption else name
        row = {f"{title}\nred: the detail crop" if scene.boxes else title: _draw_boxes(scene)}
        for layer, values in scene.layers.items():
            row[TITLES.get(layer, layer)] = colourise(values, classes) if values.dim() == 2 else values
        rows.append(row)
    return rows


def _draw_boxes(scene: Scene) -> Picture:
    if not scene.boxes:
        return scene.image
    corners = [[box.left, box.top, box.right - 1, box.bottom - 1] for box in scene.boxes.values()]
    return draw_bounding_boxes(scene.image, torch.tensor(corners), colors="red", width=3)
