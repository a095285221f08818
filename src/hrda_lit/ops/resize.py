"""Bilinear resampling zeta, the one resampling of the paper."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.ops.backends import compiled_for_gpu


def resize(x: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Resample `x` bilinearly to `size` (height, width), align_corners=False; zeta of the paper."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if compiled_for_gpu(x):
        return resize_by_products(x, size)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def resize_by_products(x: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Resample as `resize` does, by a product of matrices for each side, for compilers.

    The compiled operator sums gradients by atomic additions, whose order differs from run to run, and writes
    maps in float32.

    Args:
        x: maps, best with channels last in memory.
        size: (height, width) of the result.

    Returns:
        Maps with channels last in memory.
    """
    batch, channels, height, width = x.shape
    rows, columns = _shares(height, size[0], x), _shares(width, size[1], x)
    cells = x.permute(0, 2, 3, 1).reshape(batch * height, width, channels)
    wide = torch.bmm(columns.expand(batch * height, -1, -1), cells)
    grown = torch.bmm(rows.expand(batch, -1, -1), wide.view(batch, height, size[1] * channels))
    return grown.view(batch, *size, channels).permute(0, 3, 1, 2)


def _shares(inside: int, outside: int, like: Tensor) -> Float[Tensor, "outside inside"]:
    """Return the share of each old cell in each new one: centres aligned, edges repeated."""
    centre = (torch.arange(outside, device=like.device) + 0.5) * (inside / outside) - 0.5
    distance = centre.clamp(0, inside - 1)[:, None] - torch.arange(inside, device=like.device)
    return (1 - distance.abs()).clamp(min=0).to(like.dtype)


def downscale(x_hr: Float[Tensor, "B C H W"], s_T: float) -> Float[Tensor, "B C h w"]:
    """Shrink a high-resolution image: x_LR = zeta(x_HR, 1 / s_T), see `low_resolution_size`.

    User's document, "High Resolution vs. Low Resolution".
    """
    height, width = x_hr.shape[-2:]
    return resize(x_hr, low_resolution_size((height, width), s_T))


def low_resolution_size(size: tuple[int, int], s_T: float) -> tuple[int, int]:
    """Divide `size` (height, width) in pixels by s_T, high resolution / low resolution.

    Raises:
        ValueError: if s_T < 1 or a size is not divisible.

    User's document, "High Resolution vs. Low Resolution".
    """
    if not s_T >= 1:
        raise ValueError(f"s_T={s_T}: expected a number of at least 1; correct s_T.")
    height, width = (extent / s_T for extent in size)
    if abs(height - round(height)) > 1e-6 or abs(width - round(width)) > 1e-6:
        raise ValueError(
            f"a size of {tuple(size)} divided by s_T = {s_T:g} gives ({height:g}, {width:g}), which must be "
            "whole; choose a crop that is a multiple of s_T."
        )
    return round(height), round(width)


def fill_up(x: Float[Tensor, "B C H W"], multiple: int) -> Float[Tensor, "B C h w"]:
    """Pad an image with zeros on the right and below to sides that are multiples of `multiple` pixels."""
    height, width = (-(-extent // multiple) * multiple for extent in x.shape[-2:])
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))
