"""Pictures of predictions: panels of one image side by side, with titles."""

import io
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.ops.normalise import denormalise

Picture = UInt8[Tensor, "3 H W"]
_TITLE = 16  # pixels, the height of PIL's built-in font with a margin


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


def panels(pictures: Mapping[str, Picture], columns: int = 4) -> bytes:
    """Lay titled pictures of one size out in a grid.

    Args:
        pictures: title to picture, row by row.
        columns: pictures in a row, >= 1.

    Returns:
        A PNG file.
    """
    height, width = next(iter(pictures.values())).shape[-2:]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + _TITLE)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(pictures.items()):
        left, top = index % columns * width, index // columns * (height + _TITLE)
        draw.text((left + 4, top + 2), title, fill="black")
        sheet.paste(Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()), (left, top + _TITLE))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()
