"""Entropy minimisation: predictions on the target are made certain."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hrda_lit.config.ranges import NotNegative
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, source_pass
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.losses import entropy
from hrda_lit.ops.resize import resize


class TwoDraws(NamedTuple):
    """What the student leaves to chance, on the source and on the target."""

    source: Tensor
    target: Tensor


@check_arguments
class MinEnt(Method):
    """Learn from source labels and make predictions on the target certain.

    official: the entropy is that of the fused prediction at half the size of the image (docs/official.md 24).

    Args:
        classes: the classes of the labels.
        lambda_ent: weight of the entropy, >= 0.

    Raises:
        ValueError: if lambda_ent is out of range.

    ADVENT section 3.1.
    """

    needs_target = True
    names = ("source", "entropy")

    def __init__(self, classes: Classes, lambda_ent: NotNegative = 0.001) -> None:
        self.classes, self.lambda_ent = classes, lambda_ent

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> TwoDraws:
        """Draw what the student leaves to chance, twice."""
        size = (shape[-2], shape[-1])
        return TwoDraws(student.draw(size, generator), student.draw(size, generator))

    def passes(self, batch: Batch, networks: Networks, drawn: TwoDraws) -> Iterator[Pass]:
        """Yield the source pass and that of the target's entropy."""
        yield source_pass(batch, networks.student, drawn.source, self.classes)
        yield self._entropy(batch["target"]["image"], networks.student, drawn.target)

    def _entropy(self, image: Tensor, student: Segmentor, drawn: Tensor) -> Pass:
        loss = self.lambda_ent * entropy(half_size(student(image, drawn).outputs[0].logits, image))
        return Pass("entropy", loss, {"loss/entropy": loss.detach()}, {})


def half_size(logits: Tensor, image: Tensor) -> Tensor:
    """Bring logits to half the height and width of the image, where the output space is looked at."""
    return resize(logits, (image.shape[-2] // 2, image.shape[-1] // 2))
