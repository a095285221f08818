"""Bilinear resampling zeta, the one resampling of the paper."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.ops.checks import require_at_least


def resize(x: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Resample `x` bilinearly to `size` (height, width), align_corners=False; zeta of the paper."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def downscale(x_hr: Float[Tensor, "B C H W"], s_T: float) -> Float[Tensor, "B C h w"]:
    """Shrink a high-resolution image: x_LR = zeta(x_HR, 1 / s_T).

    Args:
        x_hr: image of H x W pixels.
        s_T: high resolution / low resolution, >= 1.

    Returns:
        The image of H / s_T x W / s_T pixels.

    Raises:
        ValueError: if s_T < 1 or a size does not come out whole.

    User's document, "High Resolution vs. Low Resolution".
    """
    height, width = x_hr.shape[-2:]
    return resize(x_hr, low_resolution_size((height, width), s_T))


def low_resolution_size(size: tuple[int, int], s_T: float) -> tuple[int, int]:
    """Divide `size` (height, width) by s_T.

    Args:
        size: pixels at high resolution.
        s_T: >= 1.

    Returns:
        (height, width) at low resolution.

    Raises:
        ValueError: if s_T < 1 or a size does not come out whole.

    User's document, "High Resolution vs. Low Resolution".
    """
    require_at_least("s_T", s_T, 1)
    height, width = (extent / s_T for extent in size)
    if abs(height - round(height)) > 1e-6 or abs(width - round(width)) > 1e-6:
        raise ValueError(
            f"a size of {tuple(size)} divided by s_T = {s_T:g} gives ({height:g}, {width:g}), which must be "
            "whole; choose a crop that is a multiple of s_T."
        )
    return round(height), round(width)


def fill_up(x: Float[Tensor, "B C H W"], multiple: int) -> Float[Tensor, "B C h w"]:
    """Fill an image up on the right and below with zeros, to sides that are multiples of `multiple` pixels."""
    height, width = (-(-extent // multiple) * multiple for extent in x.shape[-2:])
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))
