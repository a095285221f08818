"""Random crops and what makes one acceptable."""

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.ops.boxes import Box


def random_crop(size: tuple[int, int], crop_size: tuple[int, int], generator: torch.Generator) -> Box:
    """Draw the box of a crop.

    Args:
        size: (height, width) of the image in pixels.
        crop_size: (height, width) in pixels; the box is smaller where the image is.
        generator: source of randomness.

    Returns:
        The box, inside the image.
    """
    (top, height), (left, width) = (
        (int(torch.randint(max(extent - wanted, 0) + 1, (), generator=generator)), min(extent, wanted))
        for extent, wanted in zip(size, crop_size, strict=True)
    )
    return Box(top, top + height, left, left + width)


def half_crop(size: tuple[int, int]) -> list[int]:
    """Return the sides of a crop of about half of an image, the rule for data of one's own.

    Args:
        size: (height, width) of the image in pixels.

    Returns:
        [height, width], multiples of 32, which fit any encoder of strides up to 32 with s_T of 1 or 2.
    """
    return [max(32, min(round(0.5**0.5 * side / 32), side // 32) * 32) for side in size]


def retry(draw: Callable[[], Box], accept: Callable[[Box], bool], tries: int) -> Box:
    """Draw boxes until one is accepted.

    Args:
        draw: draws a box.
        accept: judges a box.
        tries: number of boxes that are judged, >= 0.

    Returns:
        The first accepted box; after `tries` refusals the next one, unchecked.
    """
    # official: the box after the last refusal is used without a check; here: the same (docs/official.md 17).
    box = draw()
    for _ in range(tries):
        if accept(box):
            break
        box = draw()
    return box


def is_varied(label: UInt8[Tensor, "H W"], ignore: int, cat_max_ratio: float) -> bool:
    """Return whether a crop shows several classes, none of which dominates.

    Args:
        label: train ids of the crop.
        ignore: id that does not count.
        cat_max_ratio: upper bound of the largest class's share of the counted pixels, exclusive, in (0, 1].

    Returns:
        True if at least two classes occur and the largest is below the bound.

    DAFormer, official code: cat_max_ratio 0.75; official: 1 turns the check off (docs/official.md 22); here: a crop
    of a single class is never varied.
    """
    counts = torch.bincount(label.flatten(), minlength=256).float()
    counts[ignore] = 0
    return int((counts > 0).sum()) > 1 and float(counts.max() / counts.sum()) < cat_max_ratio
