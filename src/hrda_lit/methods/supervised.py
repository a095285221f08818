"""Learning from labels alone: source-only, and the oracle when the source is the labelled target."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, source_pass
from hrda_lit.methods.masked_consistency import MaskedConsistency, MaskedPass, MaskedPassDraws
from hrda_lit.networks.segmentor import Segmentor


class Draws(NamedTuple):
    """Random numbers of the student and of the masked pass; None without one."""

    student: Tensor
    masked: MaskedPassDraws | None


class Supervised(Method):
    """Train on labelled images.

    Args:
        classes: the classes of the labels.
        masked: the masked pass of MIC, on source images or with a teacher of its own; None for none.

    User's document, L^S.
    """

    def __init__(self, classes: Classes, masked: MaskedConsistency | None = None) -> None:
        self.classes = classes
        self.masked = None if masked is None else MaskedPass(masked, classes)
        self.names = ("source",) if self.masked is None else ("source", "masked")
        self.needs_target = self.masked is not None and self.masked.needs_target
        self.needs_teacher = self.masked is not None and self.masked.needs_teacher

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Draws:
        """Draw the random numbers of the student and of the masks."""
        seen = student.draw((shape[-2], shape[-1]), generator)
        return Draws(seen, None if self.masked is None else self.masked.draw(student, shape, generator))

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source pass and, if there is one, the masked pass."""
        yield source_pass(batch, networks.student, drawn.student, self.classes)
        if self.masked is not None and drawn.masked is not None:
            yield self.masked(batch, networks, drawn.masked)
