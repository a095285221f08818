"""Step runners: how the passes of a step are executed. They hold no state that a checkpoint needs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from hrda_lit.methods.base import Batch, Pass
from hrda_lit.ops.finite import all_finite
from hrda_lit.training.regions import Regions

# Relative, between compiled and plain steps: operators are fused, and labels near the threshold may change.
COMPILED_TOLERANCE = 0.1
# Yields the passes of a batch, each once its backward is done; a function of nothing but tensors and networks.
Passes = Callable[[Batch, Any], Iterator[Pass]]


class StepRunner:
    """Run passes operator by operator.

    Attributes:
        replays: number of graphs replayed so far.
    """

    replays: int = 0

    def run(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """Run the passes of a batch and its draws, both on the device; return those whose backward is done."""
        return passes(batch, drawn)


class CompiledRunner(StepRunner):
    """Run passes of these networks with compiled regions, or without where these cannot be compiled."""

    def __init__(self, networks: Sequence[nn.Module], regions: Regions) -> None:
        self.networks, self.regions, self._tried = nn.ModuleList(networks), regions, False

    def run(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """See `StepRunner`; a first step with finite numbers is run both ways and compared."""
        self._tried = self._tried or self._try(passes, batch, drawn)
        yield from self._run_fast(passes, batch, drawn) if self._tried else passes(batch, drawn)

    def _run_fast(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        with self.regions.compiled():
            yield from passes(batch, drawn)

    def _try(self, passes: Passes, batch: Batch, drawn: Any) -> bool:
        """Compile, or give up where that fails or changes numbers; return False if numbers are not finite."""
        plain = self._measure(passes(batch, drawn))
        if not all_finite(*plain.values()):
            return False
        try:
            compiled = self._measure(self._run_fast(passes, batch, drawn))
            require_close(plain, compiled, "compiled", COMPILED_TOLERANCE)
        except Exception as error:
            self.regions.give_up(error)
        return True

    def _measure(self, passes: Iterator[Pass]) -> dict[str, Tensor]:
        with undo_changes(self.networks):
            logs = [done.logs for done in passes]
            weights = self.networks.parameters()
            return summarize(logs, [weight.grad for weight in weights if weight.grad is not None])


def summarize(logs: Sequence[Mapping[str, Tensor]], gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what passes logged, and the size of their gradients, by name."""
    numbers: dict[str, Tensor] = {}
    for of_pass in logs:
        numbers |= {name: value.clone() for name, value in of_pass.items()}
    return numbers | {"the size of the gradients": get_total_norm(gradients)}


def require_close(plain: Mapping[str, Tensor], other: Mapping[str, Tensor], how: str, tolerance: float) -> None:
    """Raise a RuntimeError if a step that was run in another way has other numbers than a plain one."""
    for name, value in plain.items():
        # A tenth of it is absolute, for shares near zero.
        if not torch.allclose(other[name].float(), value.float(), tolerance, tolerance / 10):
            raise RuntimeError(f"{how}, {name} is {float(other[name]):.4g} instead of {float(value):.4g}")


@contextmanager
def undo_changes(networks: nn.Module) -> Iterator[None]:
    """Begin without gradients, and undo what passes change: gradients, buffers and random generators."""
    buffers, weights = list(networks.buffers()), list(networks.parameters())
    values, gradients = [buffer.clone() for buffer in buffers], [weight.grad for weight in weights]
    devices = sorted({tensor.device.index for tensor in (*buffers, *weights) if tensor.is_cuda})
    networks.zero_grad()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            for buffer, value in zip(buffers, values, strict=True):
                buffer.copy_(value)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient


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
