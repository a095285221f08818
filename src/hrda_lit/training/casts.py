"""Cast weights to half precision once a step: by autocast, or together for each compiled region."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hrda_lit.networks.heads import DepthwiseConv

# Forwards whose weights autocast casts, because they use them for nothing but a product.
PRODUCTS = {nn.Linear.forward, nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward, DepthwiseConv.forward}


@contextmanager
def cast_once() -> Iterator[None]:
    """Let autocast cache its casts of weights over all passes inside; weights must not change meanwhile.

    Gradients of several passes are still summed in float32, those of several uses in one pass in the type of the
    cast.
    """
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
        torch.clear_autocast_cache()


class CastWeight(NamedTuple):
    """A weight that learns and is cast, and the attribute that holds it."""

    layer: nn.Module
    name: str
    weight: nn.Parameter


def list_cast_weights(region: nn.Module) -> list[CastWeight]:
    """List the weights and biases of a region that learn and that autocast casts: those of products."""
    found = []
    for layer in region.modules():
        if type(layer).forward in PRODUCTS:
            for name, weight in layer._parameters.items():
                if weight is not None and weight.requires_grad:
                    found.append(CastWeight(layer, name, weight))
    return found


@contextmanager
def cast_together(regions: Sequence[Sequence[CastWeight]]) -> Iterator[None]:
    """Under autocast, let layers use copies of their weights that are made here, in one call for each region.

    A compiled region would cast its weights and their gradients itself, one by one in every pass: thousands of
    small kernels for an encoder of 52 blocks. Weights must not change inside.
    """
    try:
        for weights in regions:
            _cast(weights)
        yield
    finally:
        for weights in regions:
            for layer, name, _ in weights:
                layer.__dict__.pop(name, None)


def _cast(weights: Sequence[CastWeight]) -> None:
    if not weights:
        return
    device = weights[0].weight.device.type
    if not torch.is_autocast_enabled(device):
        return
    copies = _CastTogether.apply(torch.get_autocast_dtype(device), *(weight for _, _, weight in weights))
    for (layer, name, _), copy in zip(weights, copies, strict=True):
        # Found before the weight itself, which stays among the parameters.
        layer.__dict__[name] = copy


class _CastTogether(torch.autograd.Function):
    """Cast tensors of one type; gradients of several uses in a pass are summed in the type of the copy."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)  # an unused weight has no gradient
        ctx.dtype = weights[0].dtype
        return _cast_all(weights, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        cast = iter(_cast_all([gradient for gradient in gradients if gradient is not None], ctx.dtype))
        return None, *(None if gradient is None else next(cast) for gradient in gradients)


def _cast_all(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    copies = tuple(torch.empty_like(tensor, dtype=dtype) for tensor in tensors)
    torch._foreach_copy_(copies, tuple(tensors))
    return copies
