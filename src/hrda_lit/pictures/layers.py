"""Images and their layers (labels, predictions, attention, errors) as pictures."""

import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

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
    return [_painted(name, scene, classes) for name, scene in scenes.items()]


def _painted(title: str, scene: Scene, classes: Classes) -> dict[str, Picture]:
    title = f"{title}: {scene.caption}" if scene.caption else title
    pictures = {f"{title}\nred: the detail crop" if scene.boxes else title: _framed(scene)}
    for name, layer in scene.layers.items():
        pictures[TITLES.get(name, name)] = colourise(layer, classes) if layer.dim() == 2 else layer
    return pictures


def pil(picture: Picture) -> Image.Image:
    """Convert a picture to a Pillow image."""
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())


def picture(image: Image.Image) -> Picture:
    """Convert a Pillow image to a picture."""
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def png(image: Image.Image) -> bytes:
    """Encode as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _framed(scene: Scene) -> Picture:
    image = pil(scene.image)
    for box in scene.boxes.values():
        corners = (box.left, box.top, box.right - 1, box.bottom - 1)
        ImageDraw.Draw(image).rectangle(corners, outline="red", width=3)
    return picture(image)
