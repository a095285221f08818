"""Logits at the size of the image, with only some rows or one class in memory at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from hrda_lit.ops.finite import require_finite
from hrda_lit.ops.resize import resize

_rows: ContextVar[int | None] = ContextVar("rows", default=None)


@contextmanager
def rows_at_once(rows: int | None) -> Iterator[None]:
    """Let losses and pseudo-labels hold at most `rows` >= 1 rows of pixels at a time; None for all."""
    before = _rows.get()
    _rows.set(rows)
    try:
        yield
    finally:
        _rows.set(before)  # not reset(), which a generator that ends elsewhere may not call


def current_rows() -> int | None:
    """Return the number that `rows_at_once` has set; None for all rows."""
    return _rows.get()


class Tile(NamedTuple):
    """Some rows of an image, and the rows of smaller logits that they are upsampled from.

    Attributes:
        rows: rows of the image.
        cells: rows of the logits, with a neighbour above and below where there is one.
        inside: place of `rows` in the upsampled `cells`.
        size: (height, width) of the upsampled `cells`.
    """

    rows: slice
    cells: slice
    inside: slice
    size: tuple[int, int]

    def upsample(self, cells: Float[Tensor, "B C k w"]) -> Float[Tensor, "B C r W"]:
        """Resample the logits' `cells` to the image's `rows`, as zeta does for the whole image."""
        return resize(cells, self.size)[..., self.inside, :]


def tiles(cells: int, size: tuple[int, int], rows: int | None) -> Iterator[Tile]:
    """Divide an image into tiles of whole rows, from top to bottom.

    Args:
        cells: number of rows of the logits.
        size: (height, width) of the image.
        rows: largest number of rows in a tile, though at least those of one cell; None for a single tile.

    Raises:
        ValueError: if the height is not a multiple of `cells`.
    """
    height, width = size
    if rows is None:
        yield Tile(slice(0, height), slice(0, cells), slice(0, height), size)
        return
    factor, rest = divmod(height, cells)
    if rest:
        raise ValueError(
            f"{cells} rows of logits do not divide a picture of {height} rows into tiles of memory.rows={rows}; set "
            "memory.rows=null, or choose a data.crop that is a multiple of the network's output stride."
        )
    step = max(1, rows // factor)
    for top in range(0, cells, step):
        bottom = min(top + step, cells)
        first, last = max(0, top - 1), min(cells, bottom + 1)
        inside = slice((top - first) * factor, (bottom - first) * factor)
        image_rows = slice(top * factor, bottom * factor)
        yield Tile(image_rows, slice(first, last), inside, ((last - first) * factor, width))


def decide(
    logits: Float[Tensor, "1 C h w"], size: tuple[int, int]
) -> tuple[UInt8[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Resample logits to `size` (height, width); return the best of at most 255 classes and its probability.

    Raises:
        ValueError: if a logit is NaN or infinite.
    """
    require_finite(logits)
    best = torch.full((1, *size), -torch.inf, device=logits.device)
    total, label = torch.zeros_like(best), torch.zeros_like(best, dtype=torch.uint8)
    # Class by class: all logits of an image of 50 megapixels would need 4 GB.
    for index, plane in enumerate(_planes(logits, size)):
        label[plane > best] = index
        higher = torch.maximum(best, plane)
        total = total * (best - higher).exp() + (plane - higher).exp()
        best = higher
    return label[0], 1 / total[0]


def best_classes(logits: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Int[Tensor, "B H W"]:
    """Resample logits to `size` (height, width) and return the best class, one class in memory at a time."""
    if logits.shape[-2:] == size:
        return logits.argmax(dim=1)
    highest = torch.full((logits.shape[0], *size), -torch.inf, device=logits.device)
    label = torch.zeros(highest.shape, dtype=torch.long, device=logits.device)
    for index, plane in enumerate(_planes(logits, size)):
        label.masked_fill_(plane > highest, index)
        torch.maximum(highest, plane, out=highest)
    return label


def attention_of(attention: Float[Tensor, "1 K h w"], label: Int[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """Return the attention of each pixel's class, or the single map, at the size of the label."""
    planes = _planes(attention, (label.shape[0], label.shape[1]))
    if attention.shape[1] == 1:
        return next(planes)[0]
    chosen = torch.zeros(label.shape, device=attention.device)
    for index, plane in enumerate(planes):
        chosen = torch.where(label == index, plane[0], chosen)
    return chosen


def _planes(view: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    return (resize(view[:, index : index + 1].float(), size)[:, 0] for index in range(view.shape[1]))
