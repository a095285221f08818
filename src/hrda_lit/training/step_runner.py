"""Step runners: how the passes of a step are executed. They hold no state that a checkpoint needs."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils import _pytree as pytree

from hrda_lit.methods.base import Batch, Pass
from hrda_lit.ops.finite import all_finite, statistics
from hrda_lit.ops.logits import rows_at_once
from hrda_lit.training.casts import cast_once
from hrda_lit.training.graphs import CudaGraphs, Graph
from hrda_lit.training.regions import Regions, first_line

log = logging.getLogger(__name__)

# Relative tolerance between a step that was run in one way and in another; bfloat16 rounds to 0.004.
REPLAYED_ALIKE = 0.02
COMPILED_ALIKE = 0.1  # operators are fused, and labels near the threshold may change
# Yields the passes of a batch, each once its backward is done; a function of the tensors it gets and of the networks.
Passes = Callable[[Batch, Any], Iterator[Pass]]


class StepRunner:
    """Run passes operator by operator.

    Args:
        rows: see `Memory`.

    Attributes:
        replays: number of graphs replayed so far.
    """

    replays: int = 0

    def __init__(self, rows: int | None = None) -> None:
        self.rows = rows

    def run(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """Run the passes of a batch, each with its backward.

        Args:
            passes: what to run.
            batch: see `Method.passes`; on the device.
            drawn: see `Method.draw`; on the device.

        Returns:
            The passes whose backward is done.
        """
        return self._plain(passes, batch, drawn)

    def _plain(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        # A generator, so that a graph that captures the first pass also captures the casts that all of them share.
        with rows_at_once(self.rows), cast_once():
            yield from passes(batch, drawn)


class CompiledRunner(StepRunner):
    """Run passes with compiled regions, or without where these cannot be compiled.

    Args:
        networks: everything that passes go through.
        regions: parts of them that are compiled.
        rows: see `Memory`.
    """

    def __init__(self, networks: Sequence[nn.Module], regions: Regions, rows: int | None = None) -> None:
        super().__init__(rows)
        self.networks, self.regions, self._tried = networks, regions, False

    def run(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """See `StepRunner`; the first step with finite numbers is compared with a plain one before it is used."""
        self._tried = self._tried or self._try(passes, batch, drawn)
        run = self._fast if self._tried else self._plain
        yield from run(passes, batch, drawn)

    def _fast(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        with self.regions.compiled():
            yield from self._plain(passes, batch, drawn)

    def _try(self, passes: Passes, batch: Batch, drawn: Any) -> bool:
        """Compile, and give up where that fails or changes numbers; False if plain numbers are not finite."""
        plain = self._numbers(self._plain(passes, batch, drawn))
        if not all_finite(*plain.values()):
            return False
        try:
            compiled = self._numbers(CompiledRunner._fast(self, passes, batch, drawn))
            require_alike(plain, compiled, "compiled", COMPILED_ALIKE)
        except Exception as error:
            self.regions.give_up(error)
        return True

    def _numbers(self, running: Iterator[Pass]) -> dict[str, Tensor]:
        with undone(self.networks):
            logs = [done.logs for done in running]
            return numbers(logs, [gradient for _, gradient in self._gradients()])

    def _gradients(self) -> list[tuple[nn.Parameter, Tensor]]:
        weights = (weight for network in self.networks for weight in network.parameters())
        return [(weight, weight.grad) for weight in weights if weight.grad is not None]


class Captured(NamedTuple):
    """What is replayed: a graph for each pass, what it returns, and the tensors that it reads and adds to."""

    graphs: list[Graph]
    passes: list[Pass]
    inputs: tuple[Batch, Any]
    gradients: list[tuple[nn.Parameter, Tensor]]

    def attach_gradients(self) -> None:
        """Let weights have the gradients that graphs add to, holding what theirs hold (nothing, as a step begins)."""
        others = [(weight, gradient) for weight, gradient in self.gradients if weight.grad is not gradient]
        if others:
            torch._foreach_zero_([gradient for _, gradient in others])
        for weight, gradient in others:
            if weight.grad is not None:
                gradient.copy_(weight.grad)
            weight.grad = gradient


class GraphRunner(CompiledRunner):
    """Replay passes that were captured once; run them as `CompiledRunner` where that is impossible.

    Args:
        networks: everything that passes go through.
        regions: parts of them that are compiled.
        names: names of the passes.
        graphs: maker of what is replayed.
        rows: see `Memory`.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        regions: Regions,
        names: Sequence[str],
        graphs: CudaGraphs,
        rows: int | None = None,
    ) -> None:
        super().__init__(networks, regions, rows)
        self.names, self.graphs = names, graphs
        self._captured: Captured | None = None

    def _fast(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        captured = self._captured
        if captured is not None:
            captured.attach_gradients()
        if captured is None or not alike(captured.inputs, (batch, drawn)):
            yield from super()._fast(passes, batch, drawn)
            return
        copy_into(captured.inputs, (batch, drawn))
        for graph, done in zip(captured.graphs, captured.passes, strict=True):
            graph.replay()
            self.replays += 1
            # The next replay writes to the same numbers.
            yield done._replace(logs={name: value.clone() for name, value in done.logs.items()})

    def _try(self, passes: Passes, batch: Batch, drawn: Any) -> bool:
        with self.graphs.aside():
            tried = super()._try(passes, batch, drawn)
        if tried:
            self._captured = self._try_to_capture(passes, batch, drawn)
        return tried

    def _try_to_capture(self, passes: Passes, batch: Batch, drawn: Any) -> Captured | None:
        try:
            with undone(self.networks):
                captured, plain = self._capture(passes, batch, drawn)
            with undone(self.networks):
                self._compare(captured, plain)
        except Exception as error:
            log.warning("steps cannot be captured as graphs and run one by one: %s", first_line(error))
            return None
        return captured

    def _compare(self, captured: Captured, plain: dict[str, Tensor]) -> None:
        """Raise a RuntimeError where replayed passes give other numbers than plain ones, from the same state."""
        captured.attach_gradients()
        for graph in captured.graphs:
            graph.replay()
        replayed = numbers([done.logs for done in captured.passes], [gradient for _, gradient in captured.gradients])
        require_alike(plain, replayed, "replayed", REPLAYED_ALIKE)

    def _capture(self, passes: Passes, batch: Batch, drawn: Any) -> tuple[Captured, dict[str, Tensor]]:
        """Capture the passes; return with them what plain ones log, and the size of their gradients."""
        inputs = pytree.tree_map_only(Tensor, torch.clone, (batch, drawn))
        with self.graphs.aside():
            logs = [done.logs for done in CompiledRunner._fast(self, passes, *inputs)]  # allocates the gradients
        gradients = self._gradients()
        plain = numbers(logs, [gradient for _, gradient in gradients])
        graphs, captured = [self.graphs.make() for _ in self.names], list[Pass]()
        running = CompiledRunner._fast(self, passes, *inputs)
        for graph in graphs:
            done = graph.capture(lambda: next(running))
            # Not the loss itself, which would keep what its backward has used.
            captured.append(done._replace(loss=done.loss.detach()))
        next(running, None)  # leaves what the passes have entered
        return Captured(graphs, captured, inputs, gradients), plain


def numbers(logs: Sequence[Mapping[str, Tensor]], gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what passes logged, and the size of their gradients, by name."""
    size = {"the size of the gradients": get_total_norm(gradients)}
    return {name: value.clone() for some in logs for name, value in some.items()} | size


def require_alike(plain: Mapping[str, Tensor], other: Mapping[str, Tensor], how: str, tolerance: float) -> None:
    """Raise a RuntimeError if a step has given other numbers than a plain one.

    Args:
        plain: numbers of the plain one, all finite.
        other: numbers of the other one.
        how: word for how the other one was run.
        tolerance: relative; a tenth of it absolute, for shares near zero.
    """
    for name, value in plain.items():
        if not torch.allclose(other[name].float(), value.float(), tolerance, tolerance / 10):
            raise RuntimeError(f"{how}, {name} is {float(other[name]):.4g} instead of {float(value):.4g}")


@contextmanager
def undone(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Begin without gradients, and take back what passes change: these, BatchNorm, the state of random generators.

    Args:
        networks: everything that the passes go through.
    """
    buffers, weights = statistics(networks), [weight for network in networks for weight in network.parameters()]
    kept, gradients = [buffer.clone() for buffer in buffers], [weight.grad for weight in weights]
    devices = sorted({tensor.device.index for tensor in (*buffers, *weights) if tensor.is_cuda})
    for weight in weights:
        weight.grad = None
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            for buffer, before in zip(buffers, kept, strict=True):
                buffer.copy_(before)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient


def alike(a: Any, b: Any) -> bool:
    """Return whether two trees of tensors have one form, and their tensors one shape and type each."""
    (ours, form), (others, other) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    return form == other and all(
        x.shape == y.shape and x.dtype == y.dtype for x, y in zip(ours, others, strict=True) if isinstance(x, Tensor)
    )


def copy_into(place: Any, tree: Any) -> None:
    """Copy the tensors of a tree into those of another, see `alike`."""
    for to, new in zip(pytree.tree_leaves(place), pytree.tree_leaves(tree), strict=True):
        if isinstance(to, Tensor):
            to.copy_(new, non_blocking=True)
