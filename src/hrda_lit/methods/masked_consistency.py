"""The masked pass of MIC: predict what blocks hide from the context that remains."""

from dataclasses import dataclass

import torch

from hrda_lit.methods.base import Labelled
from hrda_lit.ops.checks import require_at_least, require_share
from hrda_lit.ops.colour import StrongAugmentation
from hrda_lit.ops.masking import block_mask, draw_blocks


@dataclass(frozen=True)
class MaskedConsistency:
    """Which images are masked, and how.

    official: a weight other than 1 scales the fused loss alone (docs/official.md 19); here: the whole pass, because a
    method does not know of crops; at the default of 1 there is no difference.

    Args:
        ratio: share of blocks hidden, in [0, 1].
        block: side of a block in high-resolution pixels, >= shrink.
        weight: of the masked loss, >= 0.
        images: "target" (both target crops), "source", or "both" (first half source, second half target).
        augment: whether masked images get jitter and blur of their own.
        shrink: by how much the images were shrunk at loading; the block shrinks with them.

    Raises:
        ValueError: if a value is out of range.

    MIC section 3.2.
    """

    ratio: float = 0.7
    block: int = 64
    weight: float = 1.0
    images: str = "target"
    augment: bool = True
    shrink: float = 1

    def __post_init__(self) -> None:
        require_share("masked.ratio", self.ratio)
        require_at_least("masked.block", self.block / self.shrink, 1)
        require_at_least("masked.weight", self.weight, 0)
        if self.images not in ("target", "source", "both"):
            raise ValueError(f"masked images must be target, source or both, got {self.images!r}.")

    def prepare(
        self,
        source: Labelled,
        target: Labelled,
        augmentation: StrongAugmentation | None,
        generator: torch.Generator,
    ) -> Labelled:
        """Choose images, augment and mask them.

        Args:
            source: labelled source crops.
            target: pseudo-labelled target crops.
            augmentation: jitter and blur, or None.
            generator: source of randomness (CPU).

        Returns:
            As many crops. Hidden pixels are 0, the mean colour (MIC equation 5).
        """
        count = {"target": 0, "source": len(source.image), "both": len(source.image) // 2}[self.images]
        rest = len(target.image) - count
        image, label, weight = (
            torch.cat([ours[:count], theirs[:rest]]) for ours, theirs in zip(source, target, strict=True)
        )
        # official: one order of jitter and one sigma of blur for the batch (docs/official.md 21); here: one per image.
        if self.augment and augmentation is not None:
            image = augmentation(image, generator)
        size = (image.shape[-2], image.shape[-1])
        draws = draw_blocks(len(image), size, round(self.block / self.shrink), generator)
        return Labelled(image * block_mask(draws, self.ratio, size).to(image), label, weight)
