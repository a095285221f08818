"""Options of a training step: how it is executed, and how it saves memory."""

from dataclasses import dataclass, field
from typing import Any, Literal

from hrda_lit.config.ranges import Count, Speed
from hrda_lit.config.values import check_arguments
from hrda_lit.networks.memory_saving import blocks, predict_in_bfloat16_, recompute, store_in_bfloat16_
from hrda_lit.networks.segmentor import Segmentor

Kept = Literal["keep", "recompute"]
Precision = Literal["full", "bfloat16"]


@check_arguments
@dataclass(frozen=True)
class Memory:
    """Choose how a training step saves memory. The first four change numbers by rounding alone.

    Args:
        encoder: whether to keep activations of the encoder's blocks or recompute them in the backward pass.
        heads: the same for the heads.
        windows: number of detail windows that go through the teacher's head at once (and through its encoder, if
            that has no BatchNorm); the head runs once per level of its BatchNorm layers, so that statistics
            are those of all windows. None for all.
        rows: rows of pixels whose logits of all classes are held at full size at a time; None for all.
        imagenet: type of the frozen encoder's weights and activations.
        teacher: type in which the teacher predicts; its weights stay float32, which small steps need.
    """

    encoder: Kept = "keep"
    heads: Kept = "keep"
    windows: Count | None = None
    rows: Count | None = None
    imagenet: Precision = "full"
    teacher: Precision = "full"

    @property
    def recomputes(self) -> bool:
        """Return whether anything is computed again in the backward pass."""
        return "recompute" in (self.encoder, self.heads)

    def apply_to(self, student: Segmentor, teacher: Segmentor | None = None, imagenet: Any = None) -> None:
        """Change the networks of a step in place to save memory; `rows` acts on losses, by `rows_at_once`."""
        if self.encoder == "recompute":
            for block in blocks(student.backbone):
                recompute(block)
        if self.heads == "recompute":
            for head in student.heads():
                recompute(head)
        student.at_once = self.windows
        if teacher is not None:
            teacher.at_once = self.windows
            if self.teacher == "bfloat16":
                predict_in_bfloat16_(teacher)
        if imagenet is not None and self.imagenet == "bfloat16":
            store_in_bfloat16_(imagenet)


@dataclass(frozen=True)
class StepOptions:
    """Choose how a training step is run.

    Args:
        seed: seed of every draw.
        accumulate: number of equal parts of a batch that go through the network one after the other, >= 1.
        speed: how passes are executed, see `choose_runner`.
        memory: how it saves memory.
    """

    seed: int = 0
    accumulate: int = 1
    speed: Speed = "auto"
    memory: Memory = field(default_factory=Memory)
