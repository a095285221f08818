"""Learning from labels alone: source-only, and the oracle when the source is the labelled target."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, source_pass
from hrda_lit.networks.segmentor import Segmentor


class Supervised(Method):
    """Train on labelled images.

    Args:
        classes: the classes of the labels.

    User's document, L^S.
    """

    names = ("source",)

    def __init__(self, classes: Classes) -> None:
        self.classes = classes

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw what the student leaves to chance."""
        return student.draw((shape[-2], shape[-1]), generator)

    def passes(self, batch: Batch, networks: Networks, drawn: Tensor) -> Iterator[Pass]:
        """Yield the source pass."""
        yield source_pass(batch, networks.student, drawn, self.classes)
