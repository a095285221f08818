"""Cropping, resizing, flipping and padding as DAFormer and HRDA do it."""

from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Int64, Num, UInt8
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from hrda_lit.ops.boxes import Box, crop

Size = tuple[int, int]


def fitted_size(size: Size, box: Size | None, downscale: float = 1) -> Size:
    """Compute (height, width), at least 1, of an image that is fitted into a resize box, aspect ratio kept.

    Args:
        size: (height, width) of the image in pixels.
        box: (height, width) in high-resolution pixels; its longer side bounds the image's longer side, so
            that one box serves upright images too; None keeps the size.
        downscale: divisor of the result, > 0.

    HRDA, official code: 1052 x 1914 in a box of 1440 x 2560 becomes 1407 x 2560.
    """
    factor = 1 / downscale
    if box is not None:
        factor = min(max(box) / downscale / max(size), min(box) / downscale / min(size))
    height, width = (max(1, int(extent * factor + 0.5)) for extent in size)
    return height, width


def resize_image(image: UInt8[Tensor, "3 h w"], size: Size) -> UInt8[Tensor, "3 H W"]:
    """Resize bilinearly without antialiasing, as cv2 does (differs by at most 1 of 255).

    Fastest where the channels of a pixel lie together, as `images.read_image` returns them.
    """
    # Without antialias=False a quarter of the values differ by more than 1 from the official pipeline.
    return tvf.resize(image, list(size), InterpolationMode.BILINEAR, antialias=False)


def resize_label(label: UInt8[Tensor, "h w"], size: Size, box: Box | None = None) -> UInt8[Tensor, "H W"]:
    """Resize ids by nearest neighbour, index for index as cv2 does, and return what lies in `box`."""
    rows, columns = (_nearest(old, new) for old, new in zip(label.shape, size, strict=True))
    if box is not None:
        rows, columns = rows[box.top : box.bottom], columns[box.left : box.right]
    # NumPy's indexing takes a fifth of the time of torch's here.
    return torch.from_numpy(label.numpy()[rows.numpy()][:, columns.numpy()])


@lru_cache(maxsize=64)
def _nearest(old: int, new: int) -> Int64[Tensor, " new"]:
    # cv2 rounds both quotients to 64 bits: in single precision 104 -> 142 takes row 51 for row 71, in exact
    # arithmetic 2 -> 98 takes row 1 for row 49; cv2 takes 52 and 0.
    step = 1.0 / (new / old)
    return (torch.arange(new, dtype=torch.float64) * step).long().clamp(max=old - 1)


def finish(
    x: Num[Tensor, "*C h w"], crop_size: Size, flip: bool, fill: int, part: Box | None = None
) -> Num[Tensor, "*C H W"]:
    """Mirror a crop left and right, pad it at the bottom and right to `crop_size`, and cut a part out of it.

    `fill` is 0 for images and masks, the ignored id for labels.
    """
    height, width = x.shape[-2:]
    flipped = x.flip(-1) if flip else x
    padded = F.pad(flipped, (0, crop_size[1] - width, 0, crop_size[0] - height), value=fill)
    kept = padded if part is None else crop(padded, part)
    return kept.clone(memory_format=torch.contiguous_format)


def random_crop(size: tuple[int, int], crop_size: tuple[int, int], generator: torch.Generator) -> Box:
    """Draw the box of a crop of (height, width) pixels inside an image; smaller where the image is."""
    height, width = (min(extent, side) for extent, side in zip(size, crop_size, strict=True))
    top = int(torch.randint(size[0] - height + 1, (), generator=generator))
    left = int(torch.randint(size[1] - width + 1, (), generator=generator))
    return Box(top, top + height, left, left + width)


def half_crop(size: tuple[int, int]) -> list[int]:
    """Return [height, width] of a crop of about half of an image, the rule for your own data.

    Multiples of 32 fit any encoder of strides up to 32 with s_T of 1 or 2.
    """
    return [max(32, min(round(0.5**0.5 * side / 32), side // 32) * 32) for side in size]


def retry(draw: Callable[[], Box], accept: Callable[[Box], bool], tries: int) -> Box:
    """Draw boxes until one is accepted; after `tries` refusals return the next one, unchecked."""
    # official: the box after the last refusal is used without a check; here: the same (docs/official.md 17).
    box = draw()
    for _ in range(tries):
        if accept(box):
            break
        box = draw()
    return box


def is_varied(label: UInt8[Tensor, "H W"], ignore: int, cat_max_ratio: float) -> bool:
    """Return whether a crop shows at least two classes, and the largest has less than a share in (0, 1].

    DAFormer, official code: cat_max_ratio 0.75; official: 1 turns the check off (docs/official.md 22); here:
    a crop of a single class is never varied.
    """
    counts = torch.bincount(label.flatten(), minlength=256).float()
    counts[ignore] = 0
    return int((counts > 0).sum()) > 1 and float(counts.max() / counts.sum()) < cat_max_ratio
