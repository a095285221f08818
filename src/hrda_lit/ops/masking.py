"""Block masks of masked image consistency (MIC)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def block_mask(
    draws: Float[Tensor, "B 1 rows columns"], ratio: float, size: tuple[int, int]
) -> Bool[Tensor, "B 1 H W"]:
    """Keep the blocks whose draw exceeds the ratio.

    Args:
        draws: one uniform number in [0, 1) per block.
        ratio: share of blocks to hide, in [0, 1]; 0.7 in MIC.
        size: (height, width) of the image in pixels.

    Returns:
        True where the image is kept.

    MIC section 3.2, equation 5.
    """
    return F.interpolate((draws > ratio).float(), size=size, mode="nearest").bool()


def draw_blocks(
    batch: int, size: tuple[int, int], block: int, generator: torch.Generator
) -> Float[Tensor, "B 1 rows columns"]:
    """Draw one uniform number per block of about `block` x `block` pixels.

    Args:
        batch: number of images.
        size: (height, width) in pixels.
        block: side of a block in pixels; 64 at high resolution in MIC.
        generator: source of randomness (CPU).

    Returns:
        The draws; the grid has round(H / block) x round(W / block) cells, at least one.

    MIC section 3.2.
    """
    rows, columns = (max(1, round(extent / block)) for extent in size)
    return torch.rand(batch, 1, rows, columns, generator=generator)
