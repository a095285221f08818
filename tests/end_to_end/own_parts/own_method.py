"""Someone else's method: labels of the source under their mirror image, without a target."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, LoggedCrops, Method, Networks, Pass, source_pass, supervise
from hrda_lit.networks.segmentor import Segmentor


class Mirrored(Method):
    """Learn from source crops, and from the same crops mirrored.

    Args:
        classes: of the labels.
        weight: of the mirrored pass, >= 0.
    """

    names = ("source", "mirrored")

    def __init__(self, classes: Classes, weight: float = 0.5) -> None:
        self.classes, self.weight = classes, weight

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Sample the student's randomness."""
        return student.draw((shape[-2], shape[-1]), generator)

    def passes(self, batch: Batch, networks: Networks, drawn: Tensor) -> Iterator[Pass]:
        """Yield the source pass and the mirrored one."""
        yield source_pass(batch, networks.student, drawn, self.classes)
        image, label = batch["source"]["image"].flip(-1), batch["source"]["label"].flip(-1)
        loss = self.weight * supervise(networks.student(image, drawn), label, self.classes)
        crops = {"looking-glass": LoggedCrops(image, label, torch.ones_like(image[:, 0]))}
        yield Pass("mirrored", loss, {"loss/mirrored": loss.detach()}, crops)
