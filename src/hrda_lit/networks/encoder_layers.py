"""Changes to the layers of an encoder: stochastic depth, low-rank adaptation and a mask token."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from timm.layers.drop import DropPath as TimmDropPath
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hrda_lit.config.ranges import Count, Positive
from hrda_lit.config.values import check_arguments

COLOURS = 3  # channels of an image without its mask


class DropPath(nn.Module):
    """Drop a residual branch for some samples of a batch, and scale the others up.

    timm's probability is a number of each block, so that compilers compile every block separately; here it is a
    buffer, which no checkpoint stores.

    Args:
        drop_prob: share of the samples whose branch is dropped, in [0, 1).

    Huang et al., Deep Networks with Stochastic Depth, ECCV 2016.
    """

    keep: Tensor

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.register_buffer("keep", torch.tensor(1 - drop_prob), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Drop and scale in training; return `x` itself otherwise."""
        if not self.training:
            return x
        kept = torch.bernoulli(self.keep.expand(x.shape[0]))
        factor = kept.to(x.dtype) / self.keep.to(x.dtype)
        return x * factor.view(-1, *[1] * (x.dim() - 1))

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"drop_prob={self.drop_prob:g}"


def exchange_drop_paths_(model: nn.Module) -> None:
    """Exchange timm's stochastic depth for `DropPath`, in place; without a probability, for nothing."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, TimmDropPath):
                setattr(module, name, DropPath(child.drop_prob) if child.drop_prob else nn.Identity())


@check_arguments
@dataclass(frozen=True)
class LowRank:
    """The difference that a linear layer learns: alpha / rank times a matrix of this rank.

    LoRA (Hu et al., ICLR 2022) section 4.1.
    """

    rank: Count = 16
    alpha: Positive = 32.0


class LowRankDifference(nn.Module):
    """Add a difference of low rank, at first zero, to the weight of a linear layer."""

    def __init__(self, weight: Float[Tensor, "O I"], lora: LowRank) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.down = nn.Parameter(torch.empty(lora.rank, inputs, device=weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, lora.rank, device=weight.device))
        self.scale = lora.alpha / lora.rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
        """Return W + alpha / r B A."""
        return weight + self.scale * self.up @ self.down


def add_low_rank_(model: nn.Module, lora: LowRank) -> int:
    """Freeze a model and give every linear layer a low-rank difference.

    The layer's `weight` becomes the sum, also for encoders that take it without calling the layer, as EVA-02
    does.

    Returns:
        The number of these layers.
    """
    model.requires_grad_(False)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRankDifference(layer.weight, lora))
    return len(layers)


class MaskingConv(nn.Conv2d):
    """Embed patches, and replace hidden ones by a learned token.

    Images with a fourth channel are masked: a patch is hidden where that channel is above 0.5 at its centre.

    Args:
        embed: convolution that embeds patches; its weights keep their names.
        token: value of the mask token; None draws it from N(0, 0.02).

    BEiT section 2.3; DINOv2 section 4.
    """

    def __init__(self, embed: nn.Conv2d, token: Float[Tensor, " D"] | None = None) -> None:
        side = embed.kernel_size[0]
        with torch.device("meta"):
            super().__init__(COLOURS, embed.out_channels, side, stride=side, bias=embed.bias is not None)
        self.weight, self.bias = embed.weight, embed.bias
        start = torch.empty(embed.out_channels, dtype=embed.weight.dtype, device=embed.weight.device)
        self.mask_token = nn.Parameter(nn.init.normal_(start, std=0.02) if token is None else start.copy_(token))

    def forward(self, x: Float[Tensor, "B K H W"]) -> Float[Tensor, "B D h w"]:
        """Embed the patches of an image of three channels, or of four with the mask as the last."""
        tokens = super().forward(x[:, :COLOURS])
        if x.shape[1] == COLOURS:
            return tokens
        side = self.kernel_size[0]
        hidden = x[:, COLOURS:, side // 2 :: side, side // 2 :: side] > 0.5
        return torch.where(hidden, self.mask_token.to(tokens.dtype)[:, None, None], tokens)


def add_mask_token_(model: nn.Module | None, token: Float[Tensor, " D"] | None = None) -> bool:
    """Give a plain transformer of timm a mask token, in place; None draws it at random.

    Returns:
        Whether it could: if the model embeds patches of three channels by one convolution.
    """
    place: Any = getattr(model, "patch_embed", None)
    embed = getattr(place, "proj", None)
    if not isinstance(embed, nn.Conv2d) or embed.in_channels != COLOURS or embed.kernel_size != embed.stride:
        return False
    place.proj = MaskingConv(embed, token)
    return True
