"""Regional compilation: the blocks of encoders, and the heads, one by one, with weights cast together."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DepthwiseConv
from hrda_lit.networks.memory_saving import blocks
from hrda_lit.networks.segmentor import Segmentor

log = logging.getLogger(__name__)

# Forwards whose weights autocast casts, because they use them for nothing but a product.
PRODUCTS = {nn.Linear.forward, nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward, DepthwiseConv.forward}

# Compiled versions of one class of blocks: stages, batch sizes, with and without gradient.
VERSIONS = 64

INDUCTOR = {
    "fallback_random": True,  # draw the dropout of a plain step
    "layout_optimization": False,  # channels are last already; it would turn queries and keys around as well
    # Keep the sum over the taps of a kernel one expression; by default parts of it are written in float32.
    "realize_acc_reads_threshold": 64,
    "realize_opcount_threshold": 500,
}


class Regions:
    """Compiled forms of parts of networks, used inside `compiled()`; names of weights and what is saved stay.

    Args:
        networks: segmentors or encoders.
        backend: backend of torch.compile.
    """

    def __init__(self, networks: Iterable[nn.Module], backend: str | Callable[..., Any] = "inductor") -> None:
        self._calls: list[tuple[nn.Module, Any]] = []
        self._weights: list[list[CastWeight]] = []
        options = INDUCTOR if backend == "inductor" else None
        for network in networks:
            for region in regions(network):
                region.compile(dynamic=False, backend=backend, options=options)
                self._calls.append((region, region._compiled_call_impl))
                region._compiled_call_impl = None
                self._weights.append(list_cast_weights(region))
        if self._calls:
            # Beyond its limit the compiler silently falls back to eager for some blocks.
            config: Any = torch._dynamo.config
            config.recompile_limit = max(config.recompile_limit, VERSIONS)

    def __len__(self) -> int:
        return len(self._calls)

    @contextmanager
    def compiled(self) -> Iterator[None]:
        """Run the regions compiled, each compiled when it first runs, with weights that are cast together."""
        for region, call in self._calls:
            region._compiled_call_impl = call
        try:
            with cast_together(self._weights):  # compiled code does not use autocast's cache
                yield
        finally:
            for region, _ in self._calls:
                region._compiled_call_impl = None

    def give_up(self, error: Exception) -> None:
        """Run without compiled forms from now on, and warn with the reason."""
        self._calls, self._weights = [], []
        log.warning("the networks cannot be compiled and run as they are: %s", describe_error(error))


def regions(network: nn.Module) -> list[nn.Module]:
    """List the parts of a network that are compiled: the blocks that its encoder repeats, and its heads.

    Whole encoders take minutes to compile; blocks of one shape share their compiled code.
    """
    if isinstance(network, Backbone):
        return list(blocks(network))
    if isinstance(network, Segmentor):
        return [*blocks(network.backbone), *network.heads()]
    return []


def describe_error(error: BaseException) -> str:
    """Return the type and first line of an error, as a part of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__}: {reason.rstrip('.')}"


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
