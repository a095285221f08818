"""Borders of target images whose pseudo-labels are not trusted."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.ops.boxes import Box, crop
from hrda_lit.ops.ranges import Pixels


@dataclass(frozen=True)
class Margins:
    """Name the borders of target images whose pseudo-labels are not trusted, e.g. the bonnet of the car.

    Args:
        top: rows, in pixels of the resize box (of the image where there is none), >= 0.
        bottom: rows.
        left: columns.
        right: columns.

    Raises:
        ValueError: if one is negative.

    HRDA, official code: 30, 240, 30, 30 for Cityscapes as target.
    """

    top: Pixels = 0
    bottom: Pixels = 0
    left: Pixels = 0
    right: Pixels = 0

    def __post_init__(self) -> None:
        if min(self.top, self.bottom, self.left, self.right) < 0:
            raise ValueError(f"{self} has a negative border, need pixels >= 0; correct layout.margins.")


def image_mask(size: tuple[int, int], margins: Margins, downscale: float) -> UInt8[Tensor, "H W"]:
    """Make the mask of trusted pixels of a whole resized image, to be cropped and flipped along with it.

    Args:
        size: (height, width) of the resized image in pixels.
        margins: borders in high-resolution pixels.
        downscale: divides the margins, which are rounded up.

    Returns:
        1 inside, 0 in the margins.

    HRDA, official code, valid mask "v2".
    """
    height, width = size
    borders = (margins.top, margins.bottom, margins.left, margins.right)
    top, bottom, left, right = (math.ceil(border / downscale) for border in borders)
    mask = torch.zeros(size, dtype=torch.uint8)
    crop(mask, Box(top, max(height - bottom, top), left, max(width - right, left))).fill_(1)
    return mask


def crop_mask(size: tuple[int, int], margins: Margins, downscale: float) -> UInt8[Tensor, "H W"]:
    """Make the mask of trusted pixels of a crop, wherever in the image it lies: rows only.

    Args:
        size: (height, width) of the crop in pixels.
        margins: borders in high-resolution pixels; left and right do not count.
        downscale: divides the margins.

    Returns:
        1 inside, 0 in the top and bottom rows.

    DAFormer, official code, pseudo-label margins "v1": 15 and 120 rows of a crop of 512.
    """
    return image_mask(size, Margins(margins.top, margins.bottom), downscale)
