"""Regional compilation: the blocks of encoders, and the heads, one by one."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from hrda_lit.networks.backbone import Backbone
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
    """CompiledRunner forms of parts of networks, used where `compiled()` says so; nothing else changes.

    Names of weights, modules and what is saved stay as they are; validation runs as it always does.

    Args:
        networks: segmentors or encoders.
        backend: of torch.compile.
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
        """Run the regions in their compiled form; it is made where one runs for the first time."""
        for region, call in self._calls:
            region._compiled_call_impl = call
        try:
            yield
        finally:
            for region, _ in self._calls:
                region._compiled_call_impl = None

    def cast_together(self) -> AbstractContextManager[None]:
        """Let regions that learn use copies of their weights in the type of autocast, see `casts.cast_together`."""
        return cast_together(self._places)

    def give_up(self, error: Exception) -> None:
        """Run without compiled forms from now on, and say why."""
        self._calls, self._places = [], []
        log.warning("the networks cannot be compiled and run as they are: %s", first_line(error))


def regions(network: nn.Module) -> list[nn.Module]:
    """List what is compiled of a network: the blocks that its encoder repeats, and its heads whole.

    Whole encoders take minutes to compile; blocks of one shape share what is compiled.

    Args:
        network: a segmentor, or an encoder.

    Returns:
        Modules of which none is a part of another.
    """
    if isinstance(network, Backbone):
        return list(_blocks(network))
    heads = [getattr(network, "head", None), getattr(getattr(network, "fusion", None), "attention", None)]
    backbone = getattr(network, "backbone", None)
    return [
        *(regions(backbone) if isinstance(backbone, Backbone) else []),
        *(head for head in heads if isinstance(head, nn.Module)),
    ]


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    repeats = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        if repeats and any(True for _ in child.children()):
            yield child
        else:
            yield from _blocks(child)


def _allow_versions() -> None:
    # Beyond its limit the compiler would leave some blocks as they are, without a word.
    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, VERSIONS)


def first_line(error: BaseException) -> str:
    """Return what an error says, as the part of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__}: {said.rstrip('.')}"
