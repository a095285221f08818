"""Learning from labels alone: source-only, and the oracle when the source is the labelled target."""

from collections.abc import Iterator

import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, Seen, supervise


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
        image, label = batch["source"]["image"], batch["source"]["label"]
        outputs = networks.student(image, generator)
        loss = supervise(outputs, label, self.classes)
        seen = {"source": Seen(image, label, box=outputs.outputs[-1].box)}
        yield Pass("source", loss, {"loss/source": loss.detach()}, seen)
