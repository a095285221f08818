"""Settings that only some datasets need: split names and lists, margins, unusual label files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.config.ranges import Bits, KeysOf, Pixels
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.boxes import Box, crop

Channel = Literal["index", "red16"]


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

    HRDA, official code: 30, 240, 30, 30 for Cityscapes as target; VFM-UDA's code: 3, 25, 3, 3 percent.
    """

    top: Pixels = 0
    bottom: Pixels = 0
    left: Pixels = 0
    right: Pixels = 0
    unit: Literal["pixels", "percent"] = "pixels"

    def border(self, side: int, extent: int, downscale: float) -> int:
        """Return one side in pixels of an image whose height, or width, is `extent`, see `image_mask`."""
        return math.ceil(side * extent / 100 if self.unit == "percent" else side / downscale)


def image_mask(size: tuple[int, int], margins: Margins, downscale: float) -> UInt8[Tensor, "H W"]:
    """Make the mask of trusted pixels of a whole resized image: 1 inside, 0 in the margins.

    Args:
        size: (height, width) of the resized image in pixels.
        margins: borders in high-resolution pixels, or in percent.
        downscale: divisor of pixels, which are rounded up.

    HRDA, official code, valid mask "v2".
    """
    height, width = size
    top, bottom = (margins.border(side, height, downscale) for side in (margins.top, margins.bottom))
    left, right = (margins.border(side, width, downscale) for side in (margins.left, margins.right))
    mask = torch.zeros(size, dtype=torch.uint8)
    crop(mask, Box(top, max(height - bottom, top), left, max(width - right, left))).fill_(1)
    return mask


def crop_mask(size: tuple[int, int], margins: Margins, downscale: float) -> UInt8[Tensor, "H W"]:
    """Make the mask of trusted pixels of a crop, wherever in the image it lies: rows only, see `image_mask`.

    DAFormer, official code, pseudo-label margins "v1": 15 and 120 rows of a crop of 512.
    """
    return image_mask(size, Margins(margins.top, margins.bottom, unit=margins.unit), downscale)


@check_arguments
@dataclass(frozen=True)
class Layout:
    """Gather what only some datasets need.

    Args:
        splits: word that replaces `{split}` in paths, per split, e.g. {train: training, val: validation};
            where given, a split that is not listed does not exist.
        split_file: text file relative to root with one name a line, e.g. "{split}.txt": a stem, or a path
            where folders distinguish images of one name; None takes all.
        margins: borders without pseudo-labels.
        label_channel: channel of label files that holds the id, see `label_files.read_label`.
        bits: bits that the values of 16-bit images use, e.g. 12 as many cameras write; None for all 16.
        exclude: images to exclude, e.g. broken ones: file stems, paths below the root, or patterns of either.
        sizes: "same" refuses labels of another size than their image, "differ" resizes each by itself, as the
            release does, which GTA5 needs.
        colour_map: colours of labels that stand for classes, see `ColourMap`; None: labels hold ids.
        unknown_colours: "refuse" labels with other colours, or "ignore" their pixels, e.g. at blurred
            borders.
        help: one sentence on how to get the data, for the error when they are missing.

    Raises:
        ValueError: if a value does not fit, or both a channel and colours give the class.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    split_file: str | None = None
    margins: Annotated[Margins, KeysOf(Margins)] = field(default_factory=Margins)
    label_channel: Channel = "index"
    bits: Bits | None = None
    exclude: Sequence[str] = ()
    sizes: Literal["same", "differ"] = "same"
    colour_map: Mapping[Any, Any] | None = None
    unknown_colours: Literal["refuse", "ignore"] = "refuse"
    help: str = "correct root, images and label_rule of the dataset"

    def __post_init__(self) -> None:
        if self.colour_map is not None and self.label_channel != "index":
            raise ValueError("layout has both a colour_map and a label_channel; colours or a channel tell the class.")

    @classmethod
    def of(cls, given: "Layout | Mapping[str, Any] | None") -> "Layout":
        """Make a layout from the checked mapping of a config."""
        if isinstance(given, Layout):
            return given
        values = dict(given or {})
        margins = values.pop("margins", None) or {}
        return cls(margins=margins if isinstance(margins, Margins) else Margins(**margins), **values)
