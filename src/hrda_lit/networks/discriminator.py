"""The discriminator of adversarial training, between predictions of both domains."""

from itertools import pairwise

from torch import nn

from hrda_lit.config.ranges import Width


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
