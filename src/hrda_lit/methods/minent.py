"""Entropy minimisation: predictions on the target are made certain."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hrda_lit.config.ranges import NotNegative
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, source_pass
from hrda_lit.methods.masked_consistency import MaskedConsistency, MaskedPass, MaskedPassDraws
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.losses import entropy
from hrda_lit.ops.resize import low_resolution_size, resize


class TwoDraws(NamedTuple):
    """Random numbers of the student on source and target, and of the masked pass; None without one."""

    source: Tensor
    target: Tensor
    masked: MaskedPassDraws | None


@check_arguments
class MinEnt(Method):
    """Learn from source labels and minimise the entropy of predictions on the target.

    official: entropy of the fused prediction at low resolution (docs/official.md 24); here: the same.

    Args:
        classes: the classes of the labels.
        lambda_ent: weight of the entropy, >= 0.
        masked: the masked pass of MIC, with a teacher of its own; None for none.

    Raises:
        ValueError: if lambda_ent is out of range.

    ADVENT section 3.1.
    """

    needs_target = True

    def __init__(
        self, classes: Classes, lambda_ent: NotNegative = 0.001, masked: MaskedConsistency | None = None
    ) -> None:
        self.classes, self.lambda_ent = classes, lambda_ent
        self.masked = None if masked is None else MaskedPass(masked, classes)
        self.names = ("source", "entropy") if self.masked is None else ("source", "entropy", "masked")
        self.needs_teacher = self.masked is not None and self.masked.needs_teacher

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> TwoDraws:
        """Draw the random numbers of the student and of the masks."""
        return draw_both(self.masked, student, shape, generator)

    def passes(self, batch: Batch, networks: Networks, drawn: TwoDraws) -> Iterator[Pass]:
        """Yield the source pass, the entropy pass and, if there is one, the masked pass."""
        yield source_pass(batch, networks.student, drawn.source, self.classes)
        yield self._entropy(batch["target"]["image"], networks.student, drawn.target)
        if self.masked is not None and drawn.masked is not None:
            yield self.masked(batch, networks, drawn.masked)

    def _entropy(self, image: Tensor, student: Segmentor, drawn: Tensor) -> Pass:
        loss = self.lambda_ent * entropy(output_space(student(image, drawn).outputs[0].logits, image, student))
        return Pass("entropy", loss, {"loss/entropy": loss.detach()}, {})


def draw_both(
    masked: MaskedPass | None, student: Segmentor, shape: Sequence[int], generator: torch.Generator
) -> TwoDraws:
    """Draw the random numbers of the student on both domains and of the masked pass; see `Method.draw`."""
    size = (shape[-2], shape[-1])
    source, target = student.draw(size, generator), student.draw(size, generator)
    return TwoDraws(source, target, None if masked is None else masked.draw(student, shape, generator))


def output_space(logits: Tensor, image: Tensor, student: Segmentor) -> Tensor:
    """Resize logits to low resolution: half of HRDA's crop, all of what a single-scale network sees."""
    return resize(logits, low_resolution_size((image.shape[-2], image.shape[-1]), student.s_T))
