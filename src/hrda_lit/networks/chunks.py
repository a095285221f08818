"""Apply a head to some of its inputs at a time, with BatchNorm's statistics of all of them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Levels = list[Tensor]


@torch.no_grad()
def in_chunks(head: nn.Module, features: Sequence[Float[Tensor, "B C h w"]], count: int) -> Float[Tensor, "B K H W"]:
    """Apply a head as to the whole batch, up to rounding, holding the activations of some inputs only.

    Statistics of BatchNorm over the batch are found first: pass `n` finds those of layers behind `n` others.
    So the head runs `head.norm_depth` + 1 times, or without that attribute once per layer and once more.

    Args:
        head: head without gradients; running statistics move as they would.
        features: levels of a pyramid, finest first.
        count: number of inputs at a time, >= 1.
    """
    parts = [list(part) for part in zip(*(torch.split(level, count) for level in features), strict=True)]
    norms = [one for one in head.modules() if isinstance(one, _BatchNorm) and one.training]
    with _settled(head, norms, parts):
        return torch.cat([head(part) for part in parts])


@contextmanager
def _settled(head: nn.Module, norms: list[_BatchNorm], parts: list[Levels]) -> Iterator[None]:
    before = [(one.running_mean, one.running_var) for one in norms]
    for one in norms:
        one.training = False  # not by .eval() and .train(), which reach the parts of a layer
        one.running_mean = torch.zeros(one.num_features, device=parts[0][0].device)
        one.running_var = torch.ones_like(one.running_mean)
    depth = int(getattr(head, "norm_depth", len(norms))) if norms else 0
    gathered: list[Moments] = []
    try:
        for _ in range(depth):
            gathered = _gather(head, norms, parts)
            for one, moments in zip(norms, gathered, strict=True):
                one.running_mean, one.running_var, _ = moments.whole()
        yield
    finally:
        for one, (mean, variance) in zip(norms, before, strict=True):
            one.running_mean, one.running_var = mean, variance
            one.training = True
    for one, moments in zip(norms, gathered, strict=True):
        _move(one, *moments.whole())


class Moments:
    """Mean and variance per channel of the inputs of a layer, part by part."""

    def __init__(self) -> None:
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []
        self.numbers: list[int] = []

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Take in a part, as a hook before the layer."""
        x = inputs[0]
        variance, mean = torch.var_mean(x.float(), dim=(0, *range(2, x.dim())), correction=0)
        self.means.append(mean)
        self.variances.append(variance)
        self.numbers.append(x.numel() // x.shape[1])

    def whole(self) -> tuple[Tensor, Tensor, int]:
        """Return mean and variance over all parts, and how many numbers a channel has."""
        total = sum(self.numbers)
        shares = [number / total for number in self.numbers]
        mean = torch.stack([share * one for share, one in zip(shares, self.means, strict=True)]).sum(0)
        spread = (variance + (one - mean).square() for variance, one in zip(self.variances, self.means, strict=True))
        return mean, torch.stack([share * one for share, one in zip(shares, spread, strict=True)]).sum(0), total


def _gather(head: nn.Module, norms: list[_BatchNorm], parts: list[Levels]) -> list[Moments]:
    gathered = [Moments() for _ in norms]
    with ExitStack() as stack:
        for one, moments in zip(norms, gathered, strict=True):
            stack.callback(one.register_forward_pre_hook(moments).remove)
        for part in parts:
            head(part)
    return gathered


def _move(norm: _BatchNorm, mean: Tensor, variance: Tensor, numbers: int) -> None:
    """Move running statistics as a forward pass over the whole batch does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    weight = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean += weight * (mean - norm.running_mean)
    norm.running_var += weight * (variance * (numbers / (numbers - 1)) - norm.running_var)
