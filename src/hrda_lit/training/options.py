"""How a training step is run, and what it leaves out to save memory."""

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
    """Choose how a training step saves memory. The first four change no number but by rounding.

    Args:
        encoder: whether activations of the encoder's blocks are kept for the backward pass, or recomputed in it.
        heads: the same for the heads.
        windows: detail windows that go at once through the teacher's head, and its encoder where that has no BatchNorm;
            the head runs as often as its BatchNorm layers are deep, for statistics of all windows. None for all.
        rows: rows of pixels whose logits of all classes are held at full size at a time; None for all.
        imagenet: type of the frozen encoder's weights and activations.
        teacher: type in which the teacher predicts; its weights stay float32, or they would not feel small steps.

    Raises:
        ValueError: if a value is out of range.
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
        """Make the networks of a step save memory; `rows` acts where `rows_at_once` is entered.

        Args:
            student: changed in place.
            teacher: the same; None without one.
            imagenet: the frozen encoder, changed in place; None without one.
        """
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
        memory: what a step recomputes, or does in pieces.
    """

    seed: int = 0
    accumulate: int = 1
    speed: Speed = "auto"
    memory: Memory = field(default_factory=Memory)
