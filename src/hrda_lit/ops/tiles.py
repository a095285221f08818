"""Logits brought to the size of the image some rows at a time, so that all classes of all pixels are never held."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from hrda_lit.ops.resize import resize

_rows: ContextVar[int | None] = ContextVar("rows", default=None)


@contextmanager
def rows_at_once(rows: int | None) -> Iterator[None]:
    """Let losses and pseudo-labels hold so many rows of pixels at full size at a time, as autocast sets a type.

    Args:
        rows: number of rows of pixels, >= 1; None for all.
    """
    before = _rows.get()
    _rows.set(rows)
    try:
        yield
    finally:
        _rows.set(before)  # not reset(), which a generator that ends elsewhere may not call


def current_rows() -> int | None:
    """Return what `rows_at_once` has set; None for all rows."""
    return _rows.get()


class Tile(NamedTuple):
    """Some rows of a picture, and the rows of smaller logits that they are made of.

    Attributes:
        rows: rows of the picture.
        cells: rows of the logits, with a neighbour above and below where there is one.
        inside: place of `rows` in what `cells` become.
        grown: (height, width) that `cells` become.
    """

    rows: slice
    cells: slice
    inside: slice
    grown: tuple[int, int]

    def upsample(self, cells: Float[Tensor, "B C k w"]) -> Float[Tensor, "B C r W"]:
        """Resample the logits' `cells` to the picture's `rows`, as zeta resamples them among all others."""
        return resize(cells, self.grown)[..., self.inside, :]


def tiles(cells: int, size: tuple[int, int], rows: int | None) -> Iterator[Tile]:
    """Divide a picture into tiles of whole rows.

    Args:
        cells: rows of the logits.
        size: (height, width) of the picture; the height is a multiple of `cells`.
        rows: maximum of rows of the picture in a tile, but no less than one cell; None for one tile of everything.

    Returns:
        The tiles from top to bottom.

    Raises:
        ValueError: if the picture's height is no multiple of `cells`.
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
        yield Tile(slice(top * factor, bottom * factor), slice(first, last), inside, ((last - first) * factor, width))
