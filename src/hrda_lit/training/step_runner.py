"""How the passes of a step are run. A runner stands outside the networks: nothing that is saved knows of it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils import _pytree as pytree

from hrda_lit.methods.base import Batch, Pass
from hrda_lit.ops.cast_once import cast_once
from hrda_lit.ops.finite import statistics
from hrda_lit.training.graphs import Graph, Graphs
from hrda_lit.training.regions import Regions, first_line

log = logging.getLogger(__name__)

# Relative, between the numbers of a step that was run in one way and in another; bfloat16 rounds to 0.004.
REPLAYED_ALIKE = 0.02
COMPILED_ALIKE = 0.1  # operators are fused, and labels near the threshold may change
# Runs the passes of a step, each with its backward.
Work = Callable[[Batch, Any], Iterator[Pass]]


class StepRunner:
    """Run passes as they come.

    Attributes:
        replays: graphs that were replayed so far.
    """

    replays: int = 0

    def zero_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Forget the gradients of the step before."""
        optimizer.zero_grad()

    def run(self, work: Work, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """Run the passes of `work`, each with its backward.

        Args:
            work: what to run; a function of the tensors that it is given, and of the networks.
            batch: of `Method.passes`, on the device.
            drawn: of `Method.draw`, on the device.

        Returns:
            The passes whose backward is done.
        """
        return work(batch, drawn)

    def cast_once(self) -> AbstractContextManager[None]:
        """Let the passes of a step share what autocast makes of their weights; `work` enters it, for graphs to hold."""
        return cast_once()


class CompiledRunner(StepRunner):
    """Run passes with compiled regions, or without where they cannot be compiled.

    Args:
        networks: all that passes go through.
        regions: of them.
    """

    def __init__(self, networks: Sequence[nn.Module], regions: Regions) -> None:
        self.networks, self.regions, self._tried = networks, regions, False

    def run(self, work: Work, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """See `StepRunner`; the first call tries what it will do, and takes back what that leaves behind."""
        if not self._tried:
            self._tried = True
            self._try(work, batch, drawn)
        with self.regions.compiled():
            yield from work(batch, drawn)

    @contextmanager
    def cast_once(self) -> Iterator[None]:
        """See `StepRunner`; what is compiled does not know what autocast keeps."""
        with cast_once(), self.regions.cast_together():
            yield

    def _try(self, work: Work, batch: Batch, drawn: Any) -> None:
        """Compile; give up what cannot be compiled, or gives other numbers than a plain step from the same state."""
        plain = self._numbers(work, batch, drawn)
        try:
            with self.regions.compiled():
                require_alike(plain, self._numbers(work, batch, drawn), "compiled", COMPILED_ALIKE)
        except Exception as error:
            self.regions.give_up(error)

    def _numbers(self, work: Work, batch: Batch, drawn: Any) -> dict[str, Tensor]:
        with undone(self.networks):
            logs = [done.logs for done in work(batch, drawn)]
            return numbers(logs, [weight.grad for weight in self._weights() if weight.grad is not None])

    def _weights(self) -> list[nn.Parameter]:
        return [weight for network in self.networks for weight in network.parameters()]


class Captured(NamedTuple):
    """What is replayed: a graph for each pass, what it returns, and the tensors that it reads and adds to."""

    graphs: list[Graph]
    passes: list[Pass]
    inputs: tuple[Batch, Any]
    gradients: list[tuple[nn.Parameter, Tensor]]


class GraphRunner(CompiledRunner):
    """Replay passes that were captured in the first step; run them as `CompiledRunner` where that is impossible.

    Args:
        networks: all that passes go through.
        regions: of them.
        names: of the passes.
        graphs: makes what is replayed.
    """

    def __init__(self, networks: Sequence[nn.Module], regions: Regions, names: Sequence[str], graphs: Graphs) -> None:
        super().__init__(networks, regions)
        self.names, self.graphs = names, graphs
        self._captured: Captured | None = None

    def zero_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Set gradients to zero in place, where the graphs add to them."""
        if self._captured is None:
            optimizer.zero_grad()
            return
        for weight, gradient in self._captured.gradients:
            weight.grad = gradient
        torch._foreach_zero_([gradient for _, gradient in self._captured.gradients])

    def run(self, work: Work, batch: Batch, drawn: Any) -> Iterator[Pass]:
        """See `StepRunner`."""
        if not self._tried:
            self._tried = True
            self._captured = self._try_to_capture(work, batch, drawn)
        captured = self._captured
        if captured is None or not alike(captured.inputs, (batch, drawn)):
            yield from super().run(work, batch, drawn)
            return
        copy_into(captured.inputs, (batch, drawn))
        for graph, done in zip(captured.graphs, captured.passes, strict=True):
            graph.replay()
            self.replays += 1
            # The next replay writes to the same numbers.
            yield done._replace(logs={name: value.clone() for name, value in done.logs.items()})

    def _try_to_capture(self, work: Work, batch: Batch, drawn: Any) -> Captured | None:
        with self.graphs.aside():
            self._try(work, batch, drawn)
        try:
            with undone(self.networks):
                captured, plain = self._capture(work, batch, drawn)
            with undone(self.networks):
                self._compare(captured, plain)
        except Exception as error:
            log.warning("steps cannot be captured as graphs and run one by one: %s", first_line(error))
            return None
        for weight, gradient in captured.gradients:
            weight.grad = gradient.zero_()
        return captured

    def _compare(self, captured: Captured, plain: dict[str, Tensor]) -> None:
        """Raise a RuntimeError where replayed passes give other numbers than plain ones, from the same state."""
        torch._foreach_zero_([gradient for _, gradient in captured.gradients])
        for graph in captured.graphs:
            graph.replay()
        replayed = numbers([done.logs for done in captured.passes], [gradient for _, gradient in captured.gradients])
        require_alike(plain, replayed, "replayed", REPLAYED_ALIKE)

    def _capture(self, work: Work, batch: Batch, drawn: Any) -> tuple[Captured, dict[str, Tensor]]:
        """Capture the passes; return with them what plain ones log, and the size of their gradients."""
        inputs = pytree.tree_map_only(Tensor, torch.clone, (batch, drawn))
        graphs, passes = [self.graphs.make() for _ in self.names], list[Pass]()
        with self.regions.compiled():
            with self.graphs.aside():
                logs = [done.logs for done in work(*inputs)]  # allocates the gradients
            gradients = [(weight, weight.grad) for weight in self._weights() if weight.grad is not None]
            plain = numbers(logs, [gradient for _, gradient in gradients])
            steps = work(*inputs)
            for graph in graphs:
                done = graph.capture(lambda: next(steps))
                # Not the loss itself, which would keep what its backward has used.
                passes.append(done._replace(loss=done.loss.detach()))
            finish(steps)
        return Captured(graphs, passes, inputs, gradients), plain


def numbers(logs: Sequence[Mapping[str, Tensor]], gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what passes logged, and the size of their gradients, by name."""
    size = {"the size of the gradients": get_total_norm(gradients)}
    return {name: value.clone() for some in logs for name, value in some.items()} | size


def require_alike(plain: Mapping[str, Tensor], other: Mapping[str, Tensor], how: str, tolerance: float) -> None:
    """Require that a step has given about the numbers of a plain one.

    Args:
        plain: of the plain one.
        other: of the other one.
        how: the other one was run.
        tolerance: relative; a tenth of it absolute, for shares near zero.

    Raises:
        RuntimeError: if it has not.
    """
    for name, value in plain.items():
        if not torch.allclose(other[name].float(), value.float(), tolerance, tolerance / 10, equal_nan=True):
            raise RuntimeError(f"{how}, {name} is {float(other[name]):.4g} in place of {float(value):.4g}")


def finish(passes: Iterator[Pass]) -> None:
    """Run what is left of passes, keeping nothing."""
    for _ in passes:
        pass


@contextmanager
def undone(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Take back what passes leave behind: gradients, statistics of BatchNorm, the place in the random numbers.

    Args:
        networks: all that the passes go through.
    """
    buffers, weights = statistics(networks), [weight for network in networks for weight in network.parameters()]
    kept, gradients = [buffer.clone() for buffer in buffers], [weight.grad for weight in weights]
    devices = sorted({tensor.device.index for tensor in (*buffers, *weights) if tensor.is_cuda})
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
