"""The masked pass of MIC: predict hidden pixels or tokens from the context that remains."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.config.ranges import Count, NotNegative, Ratio, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Draws, Labelled, LoggedCrops, Networks, Pass, supervise
from hrda_lit.methods.labelling import Labeller
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.colour import Augmentation, StrongAugmentation, augment
from hrda_lit.ops.masks import block_mask, draw_blocks


class MaskDraws(NamedTuple):
    """Random numbers of a mask: one per block, and the augmentation of the masked images."""

    blocks: Float[Tensor, "B 1 rows columns"]
    augmentation: Augmentation | None


@check_arguments
@dataclass
class MaskedConsistency:
    """The masked pass: which images are masked, how, and with which labels.

    official: a weight other than 1 scales only the fused loss (docs/official.md 19); here: the whole pass,
    because a method does not know of crops; at the default of 1 there is no difference.

    Args:
        ratio: share of blocks hidden, in [0, 1].
        block: side of a block in high-resolution pixels, >= downscale.
        weight: weight of the masked loss, >= 0.
        images: "target" (both target crops), "source", or "both" (first half source, second half target).
        augmentation: jitter and blur of masked images; None for none.
        downscale: factor by which images are downscaled at loading, and blocks with them.
        hide: "pixels" shows the mean colour, "tokens" replaces the patches whose centre lies in a hidden
            block by the encoder's mask token; blocks no larger than a patch hide tokens independently.
        tau: threshold of their pseudo-labels in [0, 1]; 0 weights all labels equally, None is the method's.
        teacher: whether the teacher labels target images; else the student does, as with a momentum of 0.

    Attributes:
        needs_target: whether it needs target images.
        needs_teacher: whether it needs a teacher.

    Raises:
        ValueError: if a block is smaller than a downscaled pixel.

    MIC section 3.2; VFM-UDA, released code, for tokens.
    """

    ratio: Share = 0.7
    block: Count = 64
    weight: NotNegative = 1.0
    images: Literal["target", "source", "both"] = "target"
    augmentation: StrongAugmentation | None = None
    downscale: Ratio = 1
    hide: Literal["pixels", "tokens"] = "pixels"
    tau: Share | None = None
    teacher: bool = True

    def __post_init__(self) -> None:
        if self.block < self.downscale:
            raise ValueError(
                f"method.masked.block={self.block}: expected at least one pixel after images are shrunk by "
                f"{self.downscale:g}; raise it."
            )
        self.needs_target = self.images != "source"
        self.needs_teacher = self.needs_target and self.teacher
        self._labeller = None if self.tau is None else Labeller(self.tau)
        self._labelling_copy: tuple[Segmentor, Segmentor] | None = None

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if blocks are larger than a high-resolution crop of `size`."""
        if self.block > min(size):
            raise ValueError(
                f"method.masked.block={self.block} is larger than a crop of {size}, which it would hide as a whole; "
                "lower it or raise data.crop."
            )

    def draw(self, shape: Sequence[int], generator: torch.Generator) -> MaskDraws:
        """Draw which blocks are hidden and how masked images, of shape (B, 3, H, W), are augmented.

        Raises:
            ValueError: if half of the images are to be masked, and they have no half.
        """
        if self.images == "both" and shape[0] % 2:
            raise ValueError(
                f"loading.batch_size={shape[0]}: expected an even number, of which method.masked.images=both masks "
                "one half of each domain; correct it, or set method.masked.images=target."
            )
        # official: one order of jitter, one sigma of blur per batch (docs/official.md 21); here: per image.
        augmentation = None if self.augmentation is None else self.augmentation.draw(shape[0], generator)
        blocks = draw_blocks(shape[0], (shape[-2], shape[-1]), round(self.block / self.downscale), generator)
        return MaskDraws(blocks, augmentation)

    def prepare(self, source: Labelled, target: Labelled, drawn: MaskDraws) -> Labelled:
        """Choose, augment and mask as many images as there are in each domain.

        Hidden pixels are 0, the mean colour (MIC equation 5); with `hide` of tokens, images keep their pixels
        and get a fourth channel, 1 where they are hidden, see `Backbone.forward`.
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

    def __call__(
        self, batch: Batch, networks: Networks, drawn: Draws, classes: Classes, target: Labelled | None = None
    ) -> Pass:
        """Make the pass "masked"; for arguments see `Method.passes`.

        `target` are target crops with the pseudo-labels of the method; None labels them here.
        """
        assert drawn.masks is not None
        image, label = batch["source"]["image"], batch["source"]["label"]
        source = Labelled(image, label, torch.ones_like(label, dtype=image.dtype))
        if target is None:
            target = self._label_target(batch, networks) if self.needs_target else source
        masked = self.prepare(source, target, drawn.masks)
        outputs = networks.student(masked.image, drawn.student["masked"])
        loss = supervise(outputs, masked.label, classes, masked.weight)
        shown = masked._replace(image=visible(masked.image))
        crops = {"masked": LoggedCrops(*shown, outputs.outputs[-1].box)}
        return Pass("masked", self.weight * loss, {"loss/masked": loss.detach()}, crops)

    def _label_target(self, batch: Batch, networks: Networks) -> Labelled:
        teacher = networks.teacher if self.teacher else self._copy_of(networks.student)
        assert teacher is not None
        assert self._labeller is not None  # of the method's threshold, if not of its own
        return self._labeller(teacher, batch["target"]["image"], batch["target"]["valid"])[0]

    def _copy_of(self, student: Segmentor) -> Segmentor:
        # It shares the student's weights, and labelling changes the copy's buffers and modes instead.
        if self._labelling_copy is None or self._labelling_copy[0] is not student:
            weights = {id(parameter): parameter for parameter in student.parameters()}
            self._labelling_copy = student, copy.deepcopy(student, weights)
        return self._labelling_copy[1]


def visible(image: Float[Tensor, "B K H W"]) -> Float[Tensor, "B 3 H W"]:
    """Return a masked image for pictures: three channels, 0 where tokens are hidden."""
    return image if image.shape[1] == 3 else image[:, :3] * (1 - image[:, 3:])
