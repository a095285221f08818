"""Adversarial training on the output space: make target predictions look like those on the source."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from hrda_lit.config.ranges import NotNegative, Width
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Draws, Method, Networks, Pass, supervise_source
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.minent import predict_low_resolution
from hrda_lit.optim import AdamPoly

SOURCE, TARGET = 0.0, 1.0  # targets of the discriminator


@check_arguments
class Adversarial(Method):
    """Learn from source labels and deceive a least-squares discriminator of source and target.

    official: predictions are fused ones at low resolution (docs/official.md 24); here: the same.

    Args:
        classes: classes of the labels.
        lambda_adv: weight of the adversarial loss of the student, >= 0.
        channels: width of the first layer of the discriminator.
        optim: optimiser of the discriminator; None for that of the paper.
        masked: the masked pass of MIC, with a teacher of its own; None for none.

    AdaptSegNet section 3; least squares: Mao et al., ICCV 2017.
    """

    needs_target = True
    names: tuple[str, ...] = ("source", "adversarial")

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
        self.add_masked_pass(masked)
        if self.masked is not None:
            # The last pass must reach every weight that learns, the discriminator's among them.
            self.names = ("source", "masked", "adversarial")

    def discriminator(self) -> nn.Module:
        """Build the discriminator."""
        return Discriminator(len(self.classes), self.channels)

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source pass, the masked pass if there is one, and the adversarial pass."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        outputs = networks.student(image, drawn.source())
        source = supervise_source(outputs, image, label, self.classes)
        predicted = predict_low_resolution(networks.student, outputs, image).softmax(1).detach()
        yield source
        del outputs, source  # their tensors would outlive their backward
        if self.masked is not None:
            yield self.masked(batch, networks, drawn, self.classes)
        yield self._adversarial(predicted, batch["target"]["image"], networks, drawn.student["adversarial"])

    def _adversarial(self, source: Tensor, image: Tensor, networks: Networks, drawn: Tensor) -> Pass:
        assert networks.discriminator is not None
        outputs = networks.student(image, drawn)
        target = predict_low_resolution(networks.student, outputs, image).softmax(1)
        student = self.lambda_adv * mean_square(call_frozen(networks.discriminator, target), SOURCE)
        discriminator = (
            mean_square(networks.discriminator(source), SOURCE)
            + mean_square(networks.discriminator(target.detach()), TARGET)
        ) / 2
        logs = {"loss/adversarial": student.detach(), "loss/discriminator": discriminator.detach()}
        # One backward for both: each of the two losses reaches the weights of one network only.
        return Pass("adversarial", student + discriminator, logs, {})


class Discriminator(nn.Sequential):
    """Score the domain of predicted probabilities by five 4 x 4 convolutions of stride 2, with leaky ReLU.

    It maps (B, C, H, W) to (B, 1, h, w), one score per 32 x 32 pixels.

    Args:
        num_classes: C.
        channels: width of the first convolution, doubled by each of the next three.

    AdaptSegNet section 4.3.
    """

    def __init__(self, num_classes: int, channels: Width = 64) -> None:
        widths = [num_classes, *(channels * 2**layer for layer in range(4)), 1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        super().__init__(*layers[:-1])


def mean_square(scores: Float[Tensor, "B 1 h w"], target: float) -> Float[Tensor, ""]:
    """Return the mean squared distance of scores to their target."""
    return (scores - target).square().mean()


def call_frozen(network: nn.Module, x: Tensor) -> Any:
    """Call a network without gradients for its weights."""
    return functional_call(network, {name: p.detach() for name, p in network.named_parameters()}, (x,))
