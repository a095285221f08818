"""A pyramid from an encoder of one stride: plain vision transformers."""

import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from hrda_lit.ops.resize import fill_up, resize

STAGES = 4  # as a pyramid has


def stage_ends(depth: int) -> list[int]:
    """Return the last block of each of four equal stages of a transformer of `depth` >= 4 blocks."""
    return [(stage + 1) * depth // STAGES - 1 for stage in range(STAGES)]


def stage_strides(patch: float) -> list[int]:
    """Return the pixels per cell of each stage: 4, 8, 16, 32, but none far coarser than a patch.

    Args:
        patch: side of a patch in pixels, >= 3; with an input scale, in pixels of the original image.

    Returns:
        The strides, e.g. 4, 8, 16, 16 for patches of 14 or 16.
    """
    return [min(4 * 2**stage, 2 ** round(math.log2(patch))) for stage in range(STAGES)]


class PlainPyramid(nn.Module):
    """Let the blocks of a plain transformer stand for the levels of a pyramid.

    By default the image is padded on the right and below with the mean colour to whole patches, and the maps
    of patches are sampled at the cells of the pyramid, so that cells of 4 pixels fit patches of 14 and crops
    of any size.

    With a scale, the image is resized to floor(scale * side / patch) whole patches; the coarsest maps are the
    patches themselves, finer ones are resized to their cells.

    Args:
        model: timm model with `forward_intermediates`.
        patch: side of a patch in pixels.
        blocks: index of the block of each map, the first for the finest map.
        strides: pixels per cell of each map.
        scale: factor of the image's sides, > 0; None fills up instead.

    VFM-UDA section 3.
    """

    def __init__(
        self, model: Any, patch: int, blocks: Sequence[int], strides: Sequence[int], scale: float | None = None
    ) -> None:
        super().__init__()
        self.model, self.patch, self.scale = model, patch, scale
        self.blocks, self.strides = list(blocks), list(strides)
        self.coarsest = max(stage_strides(patch / (scale or 1)))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Return maps of ceil(H / stride) x ceil(W / stride) cells; with a scale, the coarsest of patches."""
        size = (image.shape[-2], image.shape[-1])
        if self.scale is None:
            # To whole cells of the coarsest map first, so that the patches cover them all.
            maps = self._encode(fill_up(fill_up(image, max(self.strides)), self.patch))
            return [sample(x, self.patch, stride, size) for x, stride in zip(maps, self.strides, strict=True)]
        rows, columns = self.patches(size)
        maps = self._encode(resize(image, (rows * self.patch, columns * self.patch)))
        return [resize(x, self.cells(stride, size)) for x, stride in zip(maps, self.strides, strict=True)]

    def patches(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (rows, columns) of patches to which an image of `size` (height, width) is resized."""
        # 1e-6: 1120 / 1.1 * 1.1 is 80 patches of 14, whichever way it is rounded.
        rows, columns = (max(1, int(extent * (self.scale or 1) / self.patch + 1e-6)) for extent in size)
        return rows, columns

    def cells(self, stride: int, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (rows, columns) of a map of a resized image of `size` (height, width)."""
        if stride >= self.coarsest:
            return self.patches(size)
        return -(-size[0] // stride), -(-size[1] // stride)

    def _encode(self, image: Tensor) -> list[Tensor]:
        return self.model.forward_intermediates(
            image, indices=self.blocks, norm=True, output_fmt="NCHW", intermediates_only=True
        )


def sample(
    patches: Float[Tensor, "B C h w"], patch: int, stride: int, size: tuple[int, int]
) -> Float[Tensor, "B C H W"]:
    """Sample a map of patches at the centres of cells, bilinearly.

    Args:
        patches: map whose first patch begins at the upper left corner of the image.
        patch: side of a patch in pixels.
        stride: side of a cell in pixels.
        size: (height, width) of the image in pixels.
    """
    rows, columns = (-(-extent // stride) for extent in size)
    if patch == stride:
        return patches[..., :rows, :columns]
    cells = F.interpolate(patches, scale_factor=patch / stride, mode="bilinear", recompute_scale_factor=False)
    return cells[..., :rows, :columns]
