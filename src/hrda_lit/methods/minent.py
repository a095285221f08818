"""Entropy minimisation: make predictions on the target certain."""

from collections.abc import Iterator

from torch import Tensor

from hrda_lit.config.ranges import NotNegative
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Draws, Method, Networks, Pass, source_pass
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.networks.segmentor import Segmentor, TrainingOutput
from hrda_lit.ops.losses import entropy
from hrda_lit.ops.resize import low_resolution_size, resize


@check_arguments
class MinEnt(Method):
    """Learn from source labels and minimise the entropy of predictions on the target.

    official: entropy of the fused prediction at low resolution (docs/official.md 24); here: the same.

    Args:
        classes: classes of the labels.
        lambda_ent: weight of the entropy, >= 0.
        masked: the masked pass of MIC, with a teacher of its own; None for none.

    ADVENT section 3.1.
    """

    needs_target = True
    names = ("source", "entropy")

    def __init__(
        self, classes: Classes, lambda_ent: NotNegative = 0.001, masked: MaskedConsistency | None = None
    ) -> None:
        self.classes, self.lambda_ent = classes, lambda_ent
        self.add_masked_pass(masked)

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source pass, the entropy pass and, if there is one, the masked pass."""
        yield source_pass(batch, networks.student, drawn.source(), self.classes)
        yield self._entropy(batch["target"]["image"], networks.student, drawn.student["entropy"])
        if self.masked is not None:
            yield self.masked(batch, networks, drawn, self.classes)

    def _entropy(self, image: Tensor, student: Segmentor, drawn: Tensor) -> Pass:
        logits = predict_low_resolution(student, student(image, drawn), image)
        loss = self.lambda_ent * entropy(logits)
        return Pass("entropy", loss, {"loss/entropy": loss.detach()}, {})


def predict_low_resolution(student: Segmentor, outputs: TrainingOutput, image: Tensor) -> Tensor:
    """Return the logits of the (fused) prediction at low resolution: the size of the image divided by s_T."""
    size = low_resolution_size((image.shape[-2], image.shape[-1]), student.s_T)
    return resize(outputs.outputs[0].logits, size)
