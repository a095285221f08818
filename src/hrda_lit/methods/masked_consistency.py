"""The masked pass of MIC: predict what is hidden from the context that remains, over pixels or over tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.config.ranges import Count, NotNegative, Ratio, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.methods.base import Labelled
from hrda_lit.ops.colour import Augmentation, StrongAugmentation, augment
from hrda_lit.ops.masking import block_mask, draw_blocks


class MaskDraws(NamedTuple):
    """One number per block, which decides whether it is hidden, and the augmentation of the masked images."""

    blocks: Float[Tensor, "B 1 rows columns"]
    augmentation: Augmentation | None


@check_arguments
@dataclass(frozen=True)
class MaskedConsistency:
    """Which images are masked, and how.

    official: a weight other than 1 scales the fused loss alone (docs/official.md 19); here: the whole pass, because a
    method does not know of crops; at the default of 1 there is no difference.

    Args:
        ratio: share of blocks hidden, in [0, 1].
        block: side of a block in high-resolution pixels, >= downscale.
        weight: of the masked loss, >= 0.
        images: "target" (both target crops), "source", or "both" (first half source, second half target).
        augment: whether masked images get jitter and blur of their own.
        downscale: by how much the images were shrunk at loading; the block shrinks with them.
        hide: "pixels" shows the mean colour, "tokens" replaces the patches whose centre lies in a hidden block by the
            mask token of the encoder. Blocks no larger than a patch hide each token independently.

    Raises:
        ValueError: if a value is out of range.

    MIC section 3.2; VFM-UDA, released code, for tokens.
    """

    ratio: Share = 0.7
    block: Count = 64
    weight: NotNegative = 1.0
    images: Literal["target", "source", "both"] = "target"
    augment: bool = True
    downscale: Ratio = 1
    hide: Literal["pixels", "tokens"] = "pixels"

    def __post_init__(self) -> None:
        if self.block < self.downscale:
            raise ValueError(
                f"method.masked.block={self.block}: expected at least one pixel after images are shrunk by "
                f"{self.downscale:g}; raise it."
            )

    def draw(
        self, shape: Sequence[int], augmentation: StrongAugmentation | None, generator: torch.Generator
    ) -> MaskDraws:
        """Draw blocks and, with `augment`, how the masked images are augmented.

        Args:
            shape: (B, 3, H, W) of the images.
            augmentation: jitter and blur, or None.
            generator: source of randomness (CPU).

        Raises:
            ValueError: if half of the images are to be masked, and they have no half.
        """
        if self.images == "both" and shape[0] % 2:
            raise ValueError(
                f"loading.batch_size={shape[0]}: expected an even number, of which method.masked.images=both masks "
                "one half of each domain; correct it, or set method.masked.images=target."
            )
        # official: one order of jitter and one sigma of blur for the batch (docs/official.md 21); here: one per image.
        own = augmentation.draw(shape[0], generator) if self.augment and augmentation is not None else None
        blocks = draw_blocks(shape[0], (shape[-2], shape[-1]), round(self.block / self.downscale), generator)
        return MaskDraws(blocks, own)

    def prepare(self, source: Labelled, target: Labelled, drawn: MaskDraws) -> Labelled:
        """Choose images, augment and mask them.

        Args:
            source: labelled source crops.
            target: pseudo-labelled target crops.
            drawn: of `draw`, on the device of the crops.

        Returns:
            As many crops. Hidden pixels are 0, the mean colour (MIC equation 5); with `hide` of tokens, images keep
            their pixels and get a fourth channel, 1 where they are hidden, see `Backbone.forward`.
        """
        count = {"target": 0, "source": len(source.image), "both": len(source.image) // 2}[self.images]
        rest = len(target.image) - count
        image, label, weight = (
            torch.cat([ours[:count], theirs[:rest]]) for ours, theirs in zip(source, target, strict=True)
        )
        if drawn.augmentation is not None:
            image = augment(image, drawn.augmentation)
        kept = block_mask(drawn.blocks, self.ratio, (image.shape[-2], image.shape[-1])).to(image.dtype)
        masked = image * kept if self.hide == "pixels" else torch.cat([image, 1 - kept], dim=1)
        return Labelled(masked, label, weight)


def visible(image: Float[Tensor, "B K H W"]) -> Float[Tensor, "B 3 H W"]:
    """Return a masked image for pictures: three channels, 0 where tokens are hidden."""
    return image if image.shape[1] == 3 else image[:, :3] * (1 - image[:, 3:])
