"""A light decoder for plain transformers: the last map of patches, made four times finer."""

from collections.abc import Sequence

from jaxtyping import Float
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from hrda_lit.config.ranges import Level
from hrda_lit.networks.heads import Head


class UpsampleHead(Head):
    """Upsample one level twice by a transposed convolution, then classify each cell.

    Args:
        in_channels: channels of the backbone's levels, finest first; those of `level` must be a multiple of
            4.
        num_classes: C, >= 2.
        level: index of the level; the coarsest by default.

    Raises:
        ValueError: if the channels are not a multiple of 4.

    VFM-UDA section 3.
    """

    finer = 4

    def __init__(self, in_channels: Sequence[int], num_classes: int, level: Level = -1) -> None:
        super().__init__()
        self.level, inputs = level, in_channels[level]
        if inputs % 4:
            raise ValueError(
                f"network.head.level={level} has {inputs} channels: expected a multiple of 4; choose another level."
            )
        half, quarter = inputs // 2, inputs // 4
        classify = nn.Conv2d(quarter, num_classes, 1, bias=False)
        nn.init.normal_(classify.weight, std=0.1)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(inputs, half, 2, stride=2, bias=False),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2, bias=False),
            LayerNorm2d(quarter),
            nn.Conv2d(quarter, quarter, 3, padding=1, bias=False),
            LayerNorm2d(quarter),
            classify,
        )

    def forward(self, features: Sequence[Float[Tensor, "B D h w"]]) -> Float[Tensor, "B C H W"]:
        """Decode one level into logits of four times its height and width."""
        return self.layers(features[self.level])
