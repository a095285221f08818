"""Weights in half precision, cast once a step: by autocast, and together for each compiled region."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hrda_lit.networks.heads import DepthwiseConv

# Forwards that use a layer's weights for nothing but a product, for which autocast casts them.
PRODUCTS = {nn.Linear.forward, nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward, DepthwiseConv.forward}


@contextmanager
def cast_once() -> Iterator[None]:
    """Let autocast keep its casts of weights over all passes that go forward in here. Weights must not change inside.

    Autocast casts a float32 weight at every call, unless it keeps what it has cast, which it does for weights that
    require gradients. Gradients of several passes are still summed in float32, those of several uses in one pass in the
    type of the cast, as always where autocast keeps its casts.
    """
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
        torch.clear_autocast_cache()


class Place(NamedTuple):
    """A weight that learns, and where it lies."""

    layer: nn.Module
    name: str
    weight: nn.Parameter


def places(region: nn.Module) -> list[Place]:
    """List the weights and biases of a region that learn and that autocast casts: those of products."""
    return [
        Place(layer, name, weight)
        for layer in region.modules()
        if type(layer).forward in PRODUCTS
        for name, weight in layer._parameters.items()
        if weight is not None and weight.requires_grad
    ]


@contextmanager
def cast_together(regions: Sequence[Sequence[Place]]) -> Iterator[None]:
    """Under autocast, let layers use copies of their weights that are made here, in one call for each region.

    A compiled region casts its weights itself, in every pass, one by one, and its backward pass casts their gradients:
    thousands of small kernels for an encoder of 52 blocks. Weights must not change inside.

    Args:
        regions: weights of each region, see `places`.
    """
    try:
        for some in regions:
            _cast(some)
        yield
    finally:
        for place in (place for some in regions for place in some):
            place.layer.__dict__.pop(place.name, None)


def _cast(some: Sequence[Place]) -> None:
    if not some or not torch.is_autocast_enabled(device := some[0].weight.device.type):
        return
    copies = _Together.apply(torch.get_autocast_dtype(device), *(place.weight for place in some))
    for place, copy in zip(some, copies, strict=True):
        # Found before the weight itself, which keeps its place among the parameters.
        place.layer.__dict__[place.name] = copy


class _Together(torch.autograd.Function):
    """Cast tensors of one type. Of each pass, the gradients of several uses are summed in the type of the copy."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)  # a weight that nothing uses has no gradient
        ctx.dtype = weights[0].dtype
        return _cast_all(weights, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        cast = iter(_cast_all([gradient for gradient in gradients if gradient is not None], ctx.dtype))
        return None, *(None if gradient is None else next(cast) for gradient in gradients)


def _cast_all(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    made = tuple(torch.empty_like(tensor, dtype=dtype) for tensor in tensors)
    torch._foreach_copy_(made, tuple(tensors))
    return made
