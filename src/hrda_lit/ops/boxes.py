"""Boxes in an image: cropping, aligned random boxes, sliding windows and stitching them back."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


class Box(NamedTuple):
    """A half-open rectangle in pixels: rows top..bottom-1, columns left..right-1 (b_d of the paper)."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) in pixels."""
        return self.bottom - self.top, self.right - self.left

    def moved(self, into: "Box") -> "Box":
        """Return this rectangle of the window `into` as a rectangle of the image."""
        return Box(self.top + into.top, self.bottom + into.top, self.left + into.left, self.right + into.left)

    def divided(self, factor: float) -> "Box":
        """Return the same rectangle in cells of `factor` > 0 pixels, e.g. s * o for the context's logits.

        Raises:
            ValueError: if an edge does not fall on a cell edge.
        """
        edges = [edge / factor for edge in self]
        if any(abs(edge - round(edge)) > 1e-6 for edge in edges):
            raise ValueError(
                f"box {tuple(self)} does not lie on a grid of {factor:g} pixels, on which the fusion needs it; "
                f"choose a box whose edges are multiples of {factor:g}."
            )
        # official: integer division, which misaligns boxes silently; here: refused (docs/official.md 9).
        return Box(*(round(edge) for edge in edges))


def whole(size: tuple[int, int]) -> Box:
    """Return the box that covers an image of `size` (height, width)."""
    return Box(0, size[0], 0, size[1])


def crop(x: Tensor, box: Box) -> Tensor:
    """Cut `box` out of the last two dimensions of `x`; a view, no copy."""
    return x[..., box.top : box.bottom, box.left : box.right]


def random_aligned_box(
    size: tuple[int, int], crop_size: tuple[int, int], multiple: int, generator: torch.Generator, last: bool = False
) -> Box:
    """Draw a detail box whose offsets are multiples of `multiple`.

    Args:
        size: (height, width) of the image in pixels.
        crop_size: (height, width) of the box in pixels.
        multiple: alignment of the offsets in pixels, s * o in the paper (8 for s = 2, o = 4).
        generator: source of randomness.
        last: whether the last offset, whose box ends at the border of the image, is drawn too.

    Raises:
        ValueError: if the box does not fit.

    HRDA section 3.2, "multi-resolution crops".
    """
    offsets = []
    for extent, wanted in zip(size, crop_size, strict=True):
        margin = extent - wanted
        if margin < 0:
            raise ValueError(
                f"a detail crop of {tuple(crop_size)} does not fit into a context crop of {tuple(size)}; "
                "lower the detail crop or raise data.crop."
            )
        # official: the upper bound is exclusive before the division, so the last offset is never drawn
        # (docs/official.md 7); here: the same by default, because published numbers were made with it.
        choices = margin // multiple + 1 if last else max(1, -(-margin // multiple))
        offsets.append(int(torch.randint(choices, (), generator=generator)) * multiple)
    top, left = offsets
    return Box(top, top + crop_size[0], left, left + crop_size[1])


def sliding_boxes(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> list[Box]:
    """Cover an image with overlapping windows, row by row; the last ones are moved inwards to fit.

    Args:
        size: (height, width) of the image in pixels.
        window: (height, width) of a window; cut to the image where larger.
        stride: (vertical, horizontal) step in pixels, >= 1.

    HRDA section 3.4, "overlapping slide inference".
    """
    tops, lefts = (_offsets(*axis) for axis in zip(size, window, stride, strict=True))
    height, width = min(window[0], size[0]), min(window[1], size[1])
    return [Box(top, top + height, left, left + width) for top in tops for left in lefts]


def _offsets(extent: int, window: int, stride: int) -> list[int]:
    last = max(extent - window, 0)
    return [min(index * stride, last) for index in range(-(-last // stride) + 1)]


def hann(count: int, like: Tensor) -> Float[Tensor, " count"]:
    """Return Hann's window at the centres of `count` pixels, with the type and device of `like`.

    Windows that lie half their length apart add up to 1.
    """
    centres = (torch.arange(count, device=like.device, dtype=torch.float) + 0.5) / count
    return torch.sin(torch.pi * centres).square().to(like.dtype)


def bell(box: Box, like: Tensor) -> Float[Tensor, "h w"]:
    """Return the weight of each pixel of a window: most in its middle, next to nothing at its borders."""
    height, width = box.size
    return hann(height, like)[:, None] * hann(width, like)


def stitch(
    pieces: Iterable[Float[Tensor, "B C h w"]],
    boxes: Iterable[Box],
    size: tuple[int, int],
    smooth: bool = False,
    start: int = 0,
) -> Float[Tensor, "B C H W"]:
    """Lay pieces on a canvas and average them where they overlap.

    Args:
        pieces: one tensor of the box's size per box; consumed one by one.
        boxes: places of the pieces; together they cover the canvas.
        size: (height, width) of the canvas.
        smooth: whether pieces fade towards their borders to hide seams, see `bell`.
        start: first row of the canvas; pieces are cut to its rows.

    Raises:
        ValueError: if there is no piece.

    HRDA section 3.4.
    """
    canvas: Tensor | None = None
    counts: Tensor | None = None
    for piece, box in zip(pieces, boxes, strict=True):
        if canvas is None or counts is None:
            canvas, counts = piece.new_zeros(*piece.shape[:2], *size), piece.new_zeros(size)
        top, bottom = max(box.top, start), min(box.bottom, start + size[0])
        inside = slice(top - box.top, bottom - box.top)
        here = Box(top - start, bottom - start, box.left, box.right)
        weight = bell(box, piece)[inside] if smooth else None
        piece = piece[..., inside, :]
        crop(canvas, here).add_(piece if weight is None else weight * piece)
        crop(counts, here).add_(1 if weight is None else weight)
    if canvas is None or counts is None:
        raise ValueError("there is nothing to stitch; give at least one piece and its box.")
    return canvas.div_(counts)


def chunks(boxes: list[Box], count: int) -> Iterator[list[Box]]:
    """Split `boxes` into lists of at most `count` (>= 1), in order."""
    for start in range(0, len(boxes), count):
        yield boxes[start : start + count]


class DeviceBox(NamedTuple):
    """A rectangle of fixed size at a place that a tensor holds, without a host sync: b_d of the paper.

    Attributes:
        offset: (top, left) in pixels, on the device of what is cropped.
        size: (height, width) in pixels.
    """

    offset: Int[Tensor, " 2"]
    size: tuple[int, int]

    @classmethod
    def of(cls, box: Box) -> "DeviceBox":
        """Return the same box with its offset as a tensor on the CPU."""
        return cls(torch.tensor([box.top, box.left]), box.size)

    def on_host(self) -> Box:
        """Return the same box on the host; waits for the device."""
        top, left = self.offset.tolist()
        return Box(top, top + self.size[0], left, left + self.size[1])

    def divided(self, factor: float) -> "DeviceBox":
        """Return the same rectangle in cells of `factor` pixels, of which the offset is a multiple.

        Raises:
            ValueError: if the sides are not multiples of it.
        """
        return DeviceBox((self.offset / factor).round().long(), whole(self.size).divided(factor).size)

    def rows(self) -> Int[Tensor, " height"]:
        """Return the indices of its rows."""
        return self.offset[0] + torch.arange(self.size[0], device=self.offset.device)

    def columns(self) -> Int[Tensor, " width"]:
        """Return the indices of its columns."""
        return self.offset[1] + torch.arange(self.size[1], device=self.offset.device)


def crop_at(x: Shaped[Tensor, "*B H W"], box: DeviceBox) -> Shaped[Tensor, "*B h w"]:
    """Copy a box out of the last two dimensions."""
    return x.index_select(-2, box.rows()).index_select(-1, box.columns())


def mask_outside(x: Shaped[Tensor, "*B H W"], box: DeviceBox) -> Shaped[Tensor, "*B H W"]:
    """Set everything outside a box to zero."""
    height, width = x.shape[-2:]
    rows = torch.zeros(height, dtype=torch.bool, device=x.device).index_fill(0, box.rows(), True)
    columns = torch.zeros(width, dtype=torch.bool, device=x.device).index_fill(0, box.columns(), True)
    return torch.where(rows[:, None] & columns, x, 0)


def paste(x: Shaped[Tensor, "*B h w"], box: DeviceBox, size: tuple[int, int]) -> Shaped[Tensor, "*B H W"]:
    """Lay `x`, of the box's size, on a canvas of zeros of `size` (height, width)."""
    stripe = x.new_zeros(*x.shape[:-1], size[1]).index_copy(-1, box.columns(), x)
    return x.new_zeros(*x.shape[:-2], *size).index_copy(-2, box.rows(), stripe)
