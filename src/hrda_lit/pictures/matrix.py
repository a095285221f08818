"""The picture of a confusion matrix."""

from jaxtyping import Int
from PIL import Image, ImageDraw
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.pictures.layers import Picture, picture

_CELL = 24  # pixels, side of a cell
_NAME = 96  # pixels, room for the name of a class


def matrix(counts: Int[Tensor, "C C"], classes: Classes) -> Picture:
    """Paint a confusion matrix: a row is a label, its pixels' shares by prediction run from white to black.

    Args:
        counts: pixels by label (rows) and prediction (columns).
        classes: names.
    """
    shares = counts.double() / counts.sum(1, keepdim=True).clamp(min=1)
    cells = (255 * (1 - shares)).round().byte().cpu().repeat_interleave(_CELL, 0).repeat_interleave(_CELL, 1)
    side = cells.shape[0] + _NAME
    sheet = Image.new("RGB", (side, side), "white")
    for index, name in enumerate(classes.names):
        tag = Image.new("RGB", (_NAME, _CELL), "white")
        ImageDraw.Draw(tag).text((4, 6), name[:15], fill="black")
        sheet.paste(tag, (0, _NAME + index * _CELL))
        sheet.paste(tag.rotate(90, expand=True), (_NAME + index * _CELL, 0))
    sheet.paste(Image.fromarray(cells.numpy()), (_NAME, _NAME))
    return picture(sheet)
