"""Learning from labels alone: source-only, and the oracle when the source is the labelled target."""

from collections.abc import Iterator

import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, supervise


class Supervised(Method):
    """Train on labelled images.

    Args:
        classes: the classes of the labels.

    User's document, L^S.
    """

    names = ("source",)

    def __init__(self, classes: Classes) -> None:
        self.classes = classes

    def passes(self, batch: Batch, networks: Networks, generator: torch.Generator) -> Iterator[Pass]:
        """Yield the source pass."""
        source = batch["source"]
        outputs = networks.student(source["image"], generator)
        loss = supervise(outputs, source["label"], self.classes)
        yield Pass("source", loss, {"loss/source": loss.detach()})
