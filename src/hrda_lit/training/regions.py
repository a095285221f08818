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
from hrda_lit.training.casts import Place, cast_together, places

log = logging.getLogger(__name__)

# Blocks of one class share their code and with it the versions of it: stages, batch sizes, with and without gradient.
VERSIONS = 64

INDUCTOR = {
    "fallback_random": True,  # by its own random numbers it would drop other channels and branches than a plain step
    "layout_optimization": False,  # channels are last already; it would turn queries and keys around as well
    # A sum over the taps of a kernel is one expression; by its defaults it is cut and written in between, in float32.
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
        self._places: list[list[Place]] = []
        for region in (part for network in networks for part in regions(network)):
            region.compile(dynamic=False, backend=backend, options=INDUCTOR if backend == "inductor" else None)
            self._calls.append((region, region._compiled_call_impl))
            region._compiled_call_impl = None
            self._places.append(places(region))
        if self._calls:
            _allow_versions()

    def __len__(self) -> int:
        return len(self._calls)

    @contextmanager
    def compiled(self) -> Iterator[None]:
        """Run the regions compiled, with weights that are cast together; compiled where one runs the first time."""
        for region, call in self._calls:
            region._compiled_call_impl = call
        try:
            with cast_together(self._places):  # compiled code does not know what autocast keeps
                yield
        finally:
            for region, _ in self._calls:
                region._compiled_call_impl = None

    def give_up(self, error: Exception) -> None:
        """Run without compiled forms from now on, and warn with the reason."""
        self._calls, self._places = [], []
        log.warning("the networks cannot be compiled and run as they are: %s", first_line(error))


def regions(network: nn.Module) -> list[nn.Module]:
    """List the parts of a network that are compiled: the blocks that its encoder repeats, and its heads.

    Whole encoders take minutes to compile; blocks of one shape share what is compiled.

    Args:
        network: a segmentor, an encoder, or any other, of which nothing is compiled.

    Returns:
        Modules of which none is a part of another.
    """
    if isinstance(network, Backbone):
        return list(blocks(network))
    return [*blocks(network.backbone), *network.heads()] if isinstance(network, Segmentor) else []


def _allow_versions() -> None:
    # Beyond its limit the compiler silently falls back to eager for some blocks.
    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, VERSIONS)


def first_line(error: BaseException) -> str:
    """Return what an error says, as the part of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__}: {said.rstrip('.')}"
