"""Adversarial training on the output space: predictions on the target come to look like those on the source."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from hrda_lit.config.ranges import NotNegative, Width
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, on_source
from hrda_lit.methods.masked_consistency import MaskedConsistency, MaskedPass
from hrda_lit.methods.minent import TwoDraws, draw_both, output_space
from hrda_lit.networks.discriminator import Discriminator
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.optim import AdamPoly

SOURCE, TARGET = 0.0, 1.0  # what the discriminator is to say


@check_arguments
class Adversarial(Method):
    """Learn from source labels and deceive a discriminator about the domain of a prediction, by least squares.

    official: predictions are fused ones at low resolution (docs/official.md 24); here: the same.

    Args:
        classes: the classes of the labels.
        lambda_adv: weight of what the student learns from the discriminator, >= 0.
        channels: width of the discriminator's first layer.
        optim: the discriminator's optimiser; None: as in the paper.
        masked: the masked pass of MIC, with a teacher of its own; None for none.

    Raises:
        ValueError: if lambda_adv is out of range.

    AdaptSegNet section 3; least squares: Mao et al., ICCV 2017.
    """

    needs_target = True

    def __init__(
        self,
        classes: Classes,
        lambda_adv: NotNegative = 0.001,
        channels: Width = 64,
        optim: AdamPoly | None = None,
        masked: MaskedConsistency | None = None,
    ) -> None:
        self.classes, self.lambda_adv, self.channels = classes, lambda_adv, channels
        self.discriminator_optim = optim or AdamPoly()
        self.masked = None if masked is None else MaskedPass(masked, classes)
        # The last pass must reach every weight that learns, the discriminator's among them.
        self.names = ("source", "adversarial") if self.masked is None else ("source", "masked", "adversarial")
        self.needs_teacher = self.masked is not None and self.masked.needs_teacher

    def discriminator(self) -> nn.Module:
        """Build the discriminator."""
        return Discriminator(len(self.classes), self.channels)

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> TwoDraws:
        """Draw what the student leaves to chance, and how images are masked."""
        return draw_both(self.masked, student, shape, generator)

    def passes(self, batch: Batch, networks: Networks, drawn: TwoDraws) -> Iterator[Pass]:
        """Yield the source pass, perhaps the masked one, and that in which both networks learn against each other."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        outputs = networks.student(image, drawn.source)
        done = on_source(outputs, image, label, self.classes)
        predicted = output_space(outputs.outputs[0].logits, image, networks.student).softmax(1).detach()
        yield done
        del outputs, done
        if self.masked is not None and drawn.masked is not None:
            yield self.masked(batch, networks, drawn.masked)
        yield self._against(predicted, batch["target"]["image"], networks, drawn.target)

    def _against(self, source: Tensor, image: Tensor, networks: Networks, drawn: Tensor) -> Pass:
        assert networks.discriminator is not None
        target = output_space(networks.student(image, drawn).outputs[0].logits, image, networks.student).softmax(1)
        deceived = self.lambda_adv * squares(unmoved(networks.discriminator, target), SOURCE)
        told = (
            squares(networks.discriminator(source), SOURCE) + squares(networks.discriminator(target.detach()), TARGET)
        ) / 2
        logs = {"loss/adversarial": deceived.detach(), "loss/discriminator": told.detach()}
        # One backward for both: each of the two losses reaches the weights of one network alone.
        return Pass("adversarial", deceived + told, logs, {})


def squares(scores: Float[Tensor, "B 1 h w"], wanted: float) -> Float[Tensor, ""]:
    """Return the mean squared distance of scores to what they should be."""
    return (scores - wanted).square().mean()


def unmoved(network: nn.Module, x: Tensor) -> Any:
    """Call a network whose weights get no gradient of it."""
    return functional_call(network, {name: p.detach() for name, p in network.named_parameters()}, (x,))
