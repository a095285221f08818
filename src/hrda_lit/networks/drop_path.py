"""Stochastic depth whose probability is data, so that one compiled form serves every block."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a residual branch for some samples of a batch, and scale the others up.

    timm's stores its probability as a number, another one in each block, for which a compiler compiles each block anew;
    here it is a buffer, which no checkpoint stores.

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
        keep = self.keep.to(x.dtype)
        kept = torch.bernoulli(self.keep.expand(x.shape[0]))
        return x * (kept.to(x.dtype) / keep).view(-1, *(1 for _ in x.shape[1:]))

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"drop_prob={self.drop_prob:g}"
