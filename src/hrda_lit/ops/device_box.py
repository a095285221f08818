"""A rectangle whose place is data: what a graph of tensor operations can be replayed with."""

from typing import NamedTuple

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from hrda_lit.ops.boxes import Box


class DeviceBox(NamedTuple):
    """A rectangle of fixed size at a place that a tensor holds: b_d of the paper.

    Nothing here asks the device where the rectangle lies, so the host need not wait for it.

    Attributes:
        offset: (top, left) in pixels, on the device of what is cut.
        size: (height, width) in pixels.
    """

    offset: Int[Tensor, " 2"]
    size: tuple[int, int]

    @classmethod
    def of(cls, box: Box) -> "DeviceBox":
        """Return the spot of a box, on the CPU."""
        return cls(torch.tensor([box.top, box.left]), box.size)

    def box(self) -> Box:
        """Return where it lies in numbers; waits for the device."""
        top, left = self.offset.tolist()
        return Box(top, top + self.size[0], left, left + self.size[1])

    def divided(self, factor: float) -> "DeviceBox":
        """Return the same rectangle on a grid that is `factor` times coarser.

        Args:
            factor: > 0, e.g. s * o for the logits of the context crop; the offset is a multiple of it.

        Returns:
            The spot in cells.

        Raises:
            ValueError: if the sides are no multiples of it.
        """
        height, width = Box(0, self.size[0], 0, self.size[1]).divided(factor).size
        return DeviceBox((self.offset / factor).round().long(), (height, width))

    def rows(self) -> Int[Tensor, " height"]:
        """Return the numbers of its rows."""
        return self._line(0)

    def columns(self) -> Int[Tensor, " width"]:
        """Return the numbers of its columns."""
        return self._line(1)

    def _line(self, axis: int) -> Tensor:
        return self.offset[axis] + torch.arange(self.size[axis], device=self.offset.device)


def crop_at(x: Shaped[Tensor, "*B H W"], spot: DeviceBox) -> Shaped[Tensor, "*B h w"]:
    """Copy a spot out of the last two dimensions."""
    return x.index_select(-2, spot.rows()).index_select(-1, spot.columns())


def mask_outside(x: Shaped[Tensor, "*B H W"], spot: DeviceBox) -> Shaped[Tensor, "*B H W"]:
    """Set everything outside a spot to zero."""
    inside = [torch.zeros(n, dtype=torch.bool, device=x.device) for n in x.shape[-2:]]
    rows, columns = (
        line.index_fill(0, place, True) for line, place in zip(inside, (spot.rows(), spot.columns()), strict=True)
    )
    return torch.where(rows[:, None] & columns, x, 0)


def paste(x: Shaped[Tensor, "*B h w"], spot: DeviceBox, size: tuple[int, int]) -> Shaped[Tensor, "*B H W"]:
    """Lay `x` at a spot of a canvas of zeros.

    Args:
        x: of the spot's size.
        spot: where.
        size: (height, width) of the canvas.

    Returns:
        The canvas.
    """
    stripe = x.new_zeros(*x.shape[:-1], size[1]).index_copy(-1, spot.columns(), x)
    return x.new_zeros(*x.shape[:-2], *size).index_copy(-2, spot.rows(), stripe)
