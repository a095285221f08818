"""Low-rank adaptation: linear layers keep their weights and learn a difference of few numbers."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """Add a matrix of low rank, at first zero, to a weight.

    Args:
        weight: weight of a linear layer.
        rank: rank of the difference, >= 1.
        alpha: the difference counts alpha / rank.

    LoRA (Hu et al., ICLR 2022) section 4.1.
    """

    def __init__(self, weight: Float[Tensor, "O I"], rank: int, alpha: float) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.down = nn.Parameter(torch.empty(rank, inputs, device=weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=weight.device))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
        """Return W + alpha / r B A."""
        return weight + self.scale * self.up @ self.down


def add_low_rank_(model: nn.Module, rank: int, alpha: float) -> int:
    """Freeze a model and give every linear layer a low-rank difference.

    The layer's `weight` becomes the sum, also for encoders that take it without calling the layer, as EVA-02 does.

    Args:
        model: changed in place.
        rank: see `LowRank`.
        alpha: see `LowRank`.

    Returns:
        How many layers have one.
    """
    model.requires_grad_(False)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, alpha))
    return len(layers)
