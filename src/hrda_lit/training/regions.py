"""Regional compilation: the blocks of encoders, and the heads, one by one."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.memory_saving import blocks
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.training.casts import CastWeight, cast_together, list_cast_weights

log = logging.getLogger(__name__)

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
