"""Pictures of what a network sees and predicts: layers over an image, and panels side by side with titles."""

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
_TITLE = 16  # pixels, the height of PIL's built-in font with a margin


class Scene(NamedTuple):
    """An image and what belongs over or beside it.

    `layers` are class ids (H x W) or pictures (3 x H x W) by name; `boxes` are in pixels; the caption is a few words.
    """

    image: Picture
    layers: Mapping[str, Tensor] = {}
    boxes: Mapping[str, Box] = {}
    caption: str = ""

    @property
    def masks(self) -> dict[str, Tensor]:
        """Return the layers that hold class ids."""
        return {name: layer for name, layer in self.layers.items() if layer.dim() == 2}

    @property
    def extras(self) -> dict[str, Picture]:
        """Return the layers that are pictures of their own."""
        return {name: layer for name, layer in self.layers.items() if layer.dim() == 3}


def colourise(label: Int[Tensor, "H W"], classes: Classes) -> Picture:
    """Paint class ids in their colours; ignored pixels are black."""
    table = torch.zeros(256, 3, dtype=torch.uint8)
    table[: len(classes)] = torch.tensor(classes.colours, dtype=torch.uint8)
    return table[label.long().cpu()].permute(2, 0, 1)


def grey(values: Float[Tensor, "H W"]) -> Picture:
    """Paint numbers in [0, 1] from black to white."""
    return (values.detach().float().cpu().clamp(0, 1) * 255).byte().expand(3, -1, -1)


def photograph(image: Float[Tensor, "3 H W"]) -> Picture:
    """Turn a network's input back into a picture."""
    return (denormalise(image.detach().float().cpu()).clamp(0, 1) * 255).round().byte()


def errors(prediction: Int[Tensor, "H W"], label: Int[Tensor, "H W"], ignore: int) -> Picture:
    """Paint wrong pixels red, right ones pale, unknown ones black."""
    wrong, unknown = (prediction != label).cpu(), (label == ignore).cpu()
    colours = torch.where(wrong, torch.tensor([220, 30, 30]).view(3, 1, 1), torch.tensor(225).view(1, 1, 1))
    return torch.where(unknown, 0, colours).byte()


def paint(scenes: Mapping[str, Scene], classes: Classes) -> dict[str, Picture]:
    """Paint scenes of one size layer by layer, title to picture.

    Args:
        scenes: by the title of the image; layers are titled by their names.
        classes: of the class ids.

    Returns:
        What `panels` lays out.
    """
    pictures: dict[str, Picture] = {}
    for title, scene in scenes.items():
        pictures[f"{title}: {scene.caption}" if scene.caption else title] = _framed(scene)
        for name, layer in scene.layers.items():
            pictures[name] = colourise(layer, classes) if layer.dim() == 2 else layer
    return pictures


def panels(pictures: Mapping[str, Picture], columns: int = 4) -> Image.Image:
    """Lay titled pictures out in a grid of cells as large as the first.

    Args:
        pictures: title to picture, row by row.
        columns: pictures in a row, >= 1.

    Returns:
        The sheet.
    """
    height, width = next(iter(pictures.values())).shape[-2:]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + _TITLE)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(pictures.items()):
        left, top = index % columns * width, index // columns * (height + _TITLE)
        draw.text((left + 4, top + 2), title, fill="black")
        sheet.paste(pil(picture), (left, top + _TITLE))
    return sheet


def pil(picture: Picture) -> Image.Image:
    """Turn a picture into Pillow's."""
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())


def picture(image: Image.Image) -> Picture:
    """Turn Pillow's image into a picture."""
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def png(image: Image.Image) -> bytes:
    """Encode as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _framed(scene: Scene) -> Picture:
    image = pil(scene.image)
    for box in scene.boxes.values():
        ImageDraw.Draw(image).rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline="red", width=3)
    return picture(image)
