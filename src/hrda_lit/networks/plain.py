"""A pyramid from an encoder of one stride: plain vision transformers."""

import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from hrda_lit.ops.resize import fill_up

STAGES = 4  # as a pyramid has


def stage_ends(depth: int) -> list[int]:
    """Return the last block of each stage, where a transformer of `depth` >= 4 blocks is taken for four alike."""
    return [(stage + 1) * depth // STAGES - 1 for stage in range(STAGES)]


def stage_strides(patch: int) -> list[int]:
    """Return the pixels per cell of each stage: 4, 8, 16, 32, but none far coarser than a patch.

    Args:
        patch: side of a patch in pixels, >= 3.

    Returns:
        The strides: 4, 8, 16, 16 for patches of 14 or 16, which a coarser map would only lose something of.
    """
    return [min(4 * 2**stage, 2 ** round(math.log2(patch))) for stage in range(STAGES)]


class PlainPyramid(nn.Module):
    """Let the blocks of a plain transformer stand for the levels of a pyramid.

    The image is not resized, so a pixel is what it is in the data: on the right and below it is filled up with the mean
    colour to whole patches. The maps of patches are then sampled where the cells of the pyramid lie, so cells of 4
    pixels fit patches of 14 and crops of any size.

    Args:
        model: of timm, with `forward_intermediates`.
        patch: side of a patch in pixels.
        blocks: which blocks, the first for the finest map.
        strides: pixels per cell of each map.

    VFM-UDA section 3.
    """

    def __init__(self, model: nn.Module, patch: int, blocks: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.model, self.patch, self.blocks, self.strides = model, patch, list(blocks), list(strides)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Return maps of ceil(H / stride) x ceil(W / stride) cells."""
        model: Any = self.model
        # To whole cells of the coarsest map first, so that the patches cover them all.
        maps = model.forward_intermediates(
            fill_up(fill_up(image, max(self.strides)), self.patch),
            indices=self.blocks,
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        size = (image.shape[-2], image.shape[-1])
        return [sample(x, self.patch, stride, size) for x, stride in zip(maps, self.strides, strict=True)]


def sample(
    patches: Float[Tensor, "B C h w"], patch: int, stride: int, size: tuple[int, int]
) -> Float[Tensor, "B C H W"]:
    """Sample a map of patches at the centres of cells, bilinearly.

    Args:
        patches: one vector per patch, from the upper left corner of the image on.
        patch: side of a patch in pixels.
        stride: side of a cell in pixels.
        size: (height, width) of the image in pixels.

    Returns:
        One vector per cell that the image has a pixel of.
    """
    rows, columns = (-(-extent // stride) for extent in size)
    if patch == stride:
        return patches[..., :rows, :columns]
    cells = F.interpolate(patches, scale_factor=patch / stride, mode="bilinear", recompute_scale_factor=False)
    return cells[..., :rows, :columns]
