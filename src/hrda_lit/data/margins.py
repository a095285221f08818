"""Borders of target images whose pseudo-labels are not trusted."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.config.ranges import Pixels
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.boxes import Box, crop


@check_arguments
@dataclass(frozen=True)
class Margins:
    """Name the borders of target images whose pseudo-labels are not trusted, e.g. the bonnet of the car.

    Args:
        top: rows, in pixels of the resize box (of the image where there is none), >= 0.
        bottom: rows.
        left: columns.
        right: columns.
        unit: "pixels", or "percent" of the height and width of the image.

    Raises:
        ValueError: if one is negative or the unit is unknown.

    HRDA, official code: 30, 240, 30, 30 for Cityscapes as target; VFM-UDA, released code: 3, 25, 3, 3 percent.
    """

    top: Pixels = 0
    bottom: Pixels = 0
    left: Pixels = 0
    right: Pixels = 0
    unit: Literal["pixels", "percent"] = "pixels"

    def borders(self, size: tuple[int, int], downscale: float) -> tuple[int, int, int, int]:
        """Return the (top, bottom, left, right) pixels of an image of `size`; for arguments see `image_mask`."""
        height, width = size
        sides: list[float] = [self.top, self.bottom, self.left, self.right]
        if self.unit == "percent":
            extents, downscale = (height, height, width, width), 1
            sides = [side * extent / 100 for side, extent in zip(sides, extents, strict=True)]
        top, bottom, left, right = (math.ceil(side / downscale) for side in sides)
        return top, bottom, left, right


def image_mask(size: tuple[int, int], margins: Margins, downscale: float) -> UInt8[Tensor, "H W"]:
    """Make the mask of trusted pixels of a whole resized image, to be cropped and flipped along with it.

    Args:
        size: (height, width) of the resized image in pixels.
        margins: borders in high-resolution pixels, or in percent.
        downscale: divides pixels, which are rounded up.

    Returns:
        1 inside, 0 in the margins.

    HRDA, official code, valid mask "v2".
    """
    height, width = size
    top, bottom, left, right = margins.borders(size, downscale)
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
    return image_mask(size, Margins(margins.top, margins.bottom, unit=margins.unit), downscale)
