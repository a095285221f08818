"""The heads: semantic decoders f^S and HRDA's scale attention f^A."""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hrda_lit.config.ranges import Dilation, DropRate, Length, Level, Width
from hrda_lit.ops.depthwise import depthwise
from hrda_lit.ops.resize import resize


class Head(nn.Module):
    """Turn the levels of a backbone into logits.

    Attributes:
        level: index of the level whose cells the logits divide; 0 is the finest.
        finer: cells of logits along each side of a cell of that level.
    """

    level: int = 0
    finer: int = 1


class DepthwiseConv(nn.Conv2d):
    """A dilated depthwise convolution of stride 1 and odd kernel that keeps the size, see `depthwise`."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, 1, padding, dilation, channels, bias=False)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Convolve."""
        return depthwise(x, self.weight, self.dilation[0])


class ConvNormAct(nn.Sequential):
    """Convolution, BatchNorm, ReLU; initialised as the official heads are (Kaiming, fan out)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, groups: int = 1) -> None:
        padding = dilation * (kernel // 2)
        conv = (
            DepthwiseConv(inputs, kernel, dilation)
            if groups == inputs == outputs and dilation > 1
            else nn.Conv2d(inputs, outputs, kernel, 1, padding, dilation, groups, bias=False)
        )
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SeparableConv(nn.Sequential):
    """A dilated depthwise 3 x 3 and a pointwise convolution, each with BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        depthwise = ConvNormAct(inputs, inputs, 3, dilation, groups=inputs)
        super().__init__(depthwise, ConvNormAct(inputs, outputs))


class ASPP(nn.Module):
    """Look at several dilations side by side (DAFormer figure 3), then fuse by a 3 x 3 convolution."""

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            ConvNormAct(inputs, outputs) if d == 1 else SeparableConv(inputs, outputs, d) for d in dilations
        )
        self.bottleneck = ConvNormAct(len(dilations) * outputs, outputs, 3)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D h w"]:
        """Fuse all branches."""
        return self.bottleneck(torch.cat([branch(x) for branch in self.branches], dim=1))


class _PyramidHead(Head):
    """Embed every level, bring all to the finest one, fuse, classify.

    Attributes:
        norm_depth: number of BatchNorm layers one behind another.
    """

    norm_depth: int

    def __init__(
        self, in_channels: Sequence[int], num_classes: int, channels: int, dropout: float, fuse: nn.Module
    ) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Linear(inputs, channels) for inputs in in_channels)
        self.fuse = fuse
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        _start_small(self.classify)

    def forward(self, features: Sequence[Float[Tensor, "B C h w"]]) -> Float[Tensor, "B K H W"]:
        """Decode a feature pyramid, finest level first, into logits at the finest level's stride."""
        size = (features[0].shape[-2], features[0].shape[-1])
        embedded = [_embed(layer, x) for layer, x in zip(self.embed, features, strict=True)]
        fused = self.fuse(torch.cat([resize(x, size) for x in embedded], dim=1))
        return self.classify(self.dropout(fused))


def _start_small(classify: nn.Conv2d) -> None:
    nn.init.normal_(classify.weight, std=0.01)
    nn.init.constant_(classify.get_parameter("bias"), 0)


def _embed(layer: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = layer(x.flatten(2).transpose(1, 2))
    return out.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[-2:])


class DAFormerHead(_PyramidHead):
    """The context-aware fusion head of DAFormer: semantic decoder f^S.

    Args:
        in_channels: channels of the backbone's levels, finest first.
        num_classes: C, >= 2.
        channels: width of the head; 256 in the paper.
        dilations: dilation of each ASPP branch; 1 means a plain 1 x 1 convolution.
        dropout: probability to drop a channel before classification.

    DAFormer section 3.1; user's document, f^S.
    """

    norm_depth = 3

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        channels: Width = 256,
        dilations: Annotated[Sequence[Dilation], Length(least=1)] = (1, 6, 12, 18),
        dropout: DropRate = 0.1,
    ) -> None:
        aspp = ASPP(len(in_channels) * channels, channels, dilations)
        super().__init__(in_channels, num_classes, channels, dropout, aspp)


class SegFormerHead(_PyramidHead):
    """The MLP decoder of SegFormer: every level embedded, all of them fused by one 1 x 1 convolution.

    Args:
        in_channels: channels of the backbone's levels, finest first.
        num_classes: C, >= 2.
        channels: width of the head; 256 in SegFormer-B0 and B1, 768 in the larger ones.
        dropout: probability to drop a channel before classification.

    SegFormer section 3.2.
    """

    norm_depth = 1

    def __init__(
        self, in_channels: Sequence[int], num_classes: int, channels: Width = 256, dropout: DropRate = 0.1
    ) -> None:
        fuse = ConvNormAct(len(in_channels) * channels, channels)
        super().__init__(in_channels, num_classes, channels, dropout, fuse)


class DeepLabV2Head(Head):
    """Sum dilated 3 x 3 convolutions of one level: DeepLabV2's classifiers.

    official: two dilations, no BatchNorm, no dropout, on stride 8 (docs/official.md 9).

    Args:
        in_channels: channels of the backbone's levels, finest first.
        num_classes: C, >= 2.
        dilations: dilation of each classifier.
        level: index of the level; the coarsest by default.
        class_wise: False: a single map, for a scale attention that all classes share.

    DeepLab section 3.2; AdaptSegNet section 5.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        dilations: Annotated[Sequence[Dilation], Length(least=1)] = (6, 12),
        level: Level = -1,
        class_wise: bool = True,
    ) -> None:
        super().__init__()
        inputs, outputs = in_channels[level], num_classes if class_wise else 1
        self.level = level
        classifiers = [nn.Conv2d(inputs, outputs, 3, padding=one, dilation=one) for one in dilations]
        for classifier in classifiers:
            _start_small(classifier)
        self.classify = nn.ModuleList(classifiers)

    def forward(self, features: Sequence[Float[Tensor, "B C h w"]]) -> Float[Tensor, "B K h w"]:
        """Classify one level at its own stride."""
        return torch.stack([one(features[self.level]) for one in self.classify]).sum(0)


class LinearHead(Head):
    """A 1 x 1 convolution of one level: what features are worth without a decoder.

    Args:
        in_channels: channels of the backbone's levels, finest first.
        num_classes: C, >= 2.
        level: index of the level; the coarsest by default.

    DINOv2 section 7.4.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, level: Level = -1) -> None:
        super().__init__()
        self.level = level
        self.classify = nn.Conv2d(in_channels[level], num_classes, 1)
        _start_small(self.classify)

    def forward(self, features: Sequence[Float[Tensor, "B C h w"]]) -> Float[Tensor, "B C h w"]:
        """Classify one level at its own stride."""
        return self.classify(features[self.level])


class ScaleAttentionHead(_PyramidHead):
    """A light SegFormer head that scores, per class and cell, how far to trust the detail: f^A.

    Args:
        in_channels: channels of the backbone's levels, finest first.
        num_classes: C, >= 2.
        channels: width of the head; 256 in the paper.
        dropout: probability to drop a channel before classification.
        class_wise: one attention map per class (the paper), or one for all.

    HRDA section 3.2; user's document, f^A.
    """

    norm_depth = 1

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        channels: Width = 256,
        dropout: DropRate = 0.1,
        class_wise: bool = True,
    ) -> None:
        fuse = ConvNormAct(len(in_channels) * channels, channels)
        super().__init__(in_channels, num_classes if class_wise else 1, channels, dropout, fuse)
