"""The rungs of the memory ladder: each makes a training step smaller, most of them for some time."""

from dataclasses import dataclass
from typing import Literal

import torch

from hrda_lit.methods.base import Method
from hrda_lit.networks.recompute import blocks, recompute
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.checks import require_at_least
from hrda_lit.ops.ranges import Count

Kept = Literal["keep", "recompute"]
Precision = Literal["full", "bfloat16"]


@dataclass(frozen=True)
class Memory:
    """Choose how a training step saves memory. The first four change no number but by rounding.

    Args:
        encoder: whether activations of the encoder's blocks are kept for the backward pass, or computed again in it.
        heads: the same for the heads.
        windows: detail windows that go at once through the teacher's head, and its encoder where that has no BatchNorm;
            the head runs as often as its BatchNorm layers are deep, for statistics of all windows. None for all.
        rows: rows of pixels whose logits of all classes are held at full size at a time; None for all.
        imagenet: the type of the frozen encoder's weights and activations.
        teacher: the type the teacher labels in; its weights keep theirs, or they would not feel small steps.
        check: whether it is estimated and told what a step needs, before a training starts, and one that needs more
            than its GPU has free is refused.

    Raises:
        ValueError: if a value is out of range.
    """

    encoder: Kept = "keep"
    heads: Kept = "keep"
    windows: Count | None = None
    rows: Count | None = None
    imagenet: Precision = "full"
    teacher: Precision = "full"
    check: bool = True

    def __post_init__(self) -> None:
        for name, number in (("windows", self.windows), ("rows", self.rows)):
            if number is not None:
                require_at_least(f"memory.{name}", number, 1)

    def lighten(self, student: Segmentor, method: Method) -> None:
        """Make a student, all that will be copied from it, and its method save memory; both are changed in place."""
        for part in (
            *(blocks(student.backbone) if self.encoder == "recompute" else ()),
            *(student.heads() if self.heads == "recompute" else ()),
        ):
            recompute(part)
        student.at_once, method.rows = self.windows, self.rows
        method.labels_in = torch.bfloat16 if self.teacher == "bfloat16" else None
        method.imagenet_in = torch.bfloat16 if self.imagenet == "bfloat16" else None


SMALL = Memory(encoder="recompute", heads="recompute", rows=128)  # conf/memory/small.yaml
