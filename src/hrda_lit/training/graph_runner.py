"""CUDA graphs: passes that are captured once and replayed by one call each, over the same memory."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from hrda_lit.methods.base import Batch, Pass
from hrda_lit.training.regions import Regions, describe_error
from hrda_lit.training.step_runner import CompiledRunner, Passes, require_close, summarize, undo_changes

log = logging.getLogger(__name__)

REPLAYED_TOLERANCE = 0.02  # relative, between a replayed and a plain step; bfloat16 rounds to 0.004
T = TypeVar("T")


class CudaGraphs:
    """Make graphs that share their memory, because they are captured and replayed in one order.

    Random numbers are those of the device's generator at each replay, as without a graph. Runners use only
    `make`, `on_stream`, `Graph.capture` and `Graph.replay`, so that tests run without a GPU.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def make(self) -> "Graph":
        """Return a graph that holds nothing yet."""
        return Graph(self._pool, self._stream)

    @contextmanager
    def on_stream(self) -> Iterator[None]:
        """Work on the stream where graphs are captured, so that libraries prepare it before."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            current.wait_stream(self._stream)


class Graph:
    """One piece of work, captured on a stream into a pool of memory that graphs share."""

    def __init__(self, pool: Any, stream: torch.cuda.Stream) -> None:
        self._pool, self._stream, self._graph = pool, stream, torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], T]) -> T:
        """Record the device's part of `work`; return its result, whose tensors get their numbers by `replay`.

        Every tensor that `work` reads or returns stays where it is.

        Raises:
            RuntimeError: if `work` cannot be captured, e.g. because it waits for the device.
        """
        torch.cuda.synchronize()
        gc.collect()  # what compiling left in cycles may hold memory
        torch.cuda.empty_cache()
        with torch.cuda.stream(self._stream):
            # Other threads pin memory for the next batch and read numbers for the bar meanwhile.
            self._graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                done = work()
            except Exception:
                with suppress(RuntimeError):  # that the capture failed is known already
                    self._graph.capture_end()
                raise
            self._graph.capture_end()
        return done

    def replay(self) -> None:
        """Do the work again, on what its tensors hold now."""
        self._graph.replay()


class Captured(NamedTuple):
    """What is replayed: a graph for each pass, what it returns, and the tensors that it reads and adds to."""

    graphs: list[Graph]
    passes: list[Pass]
    inputs: tuple[Batch, Any]
    gradients: list[tuple[nn.Parameter, Tensor]]

    def attach_gradients(self) -> None:
        """Give weights the gradients that graphs add to, with the values of their own ones, if any."""
        others = [(weight, gradient) for weight, gradient in self.gradients if weight.grad is not gradient]
        if others:
            torch._foreach_zero_([gradient for _, gradient in others])
        for weight, gradient in others:
            if weight.grad is not None:
                gradient.copy_(weight.grad)
            weight.grad = gradient


class GraphRunner(CompiledRunner):
    """Replay passes that were captured once; run them as `CompiledRunner` where that is impossible."""

    def __init__(
        self, networks: Sequence[nn.Module], regions: Regions, names: Sequence[str], graphs: CudaGraphs
    ) -> None:
        super().__init__(networks, regions)
        self.names, self.graphs = names, graphs
        self._captured: Captured | None = None

    def _run_fast(self, passes: Passes, batch: Batch, drawn: Any) -> Iterator[Pass]:
        captured = self._captured
        if captured is not None:
            captured.attach_gradients()
        if captured is None or not same_form(captured.inputs, (batch, drawn)):
            yield from super()._run_fast(passes, batch, drawn)
            return
        copy_into(captured.inputs, (batch, drawn))
        for graph, done in zip(captured.graphs, captured.passes, strict=True):
            graph.replay()
            self.replays += 1
            # The next replay writes to the same numbers.
            yield done._replace(logs={name: value.clone() for name, value in done.logs.items()})

    def _try(self, passes: Passes, batch: Batch, drawn: Any) -> bool:
        with self.graphs.on_stream():
            tried = super()._try(passes, batch, drawn)
        if tried:
            self._captured = self._try_to_capture(passes, batch, drawn)
        return tried

    def _try_to_capture(self, passes: Passes, batch: Batch, drawn: Any) -> Captured | None:
        try:
            with undo_changes(self.networks):
                captured, plain = self._capture(passes, batch, drawn)
            with undo_changes(self.networks):
                self._compare(captured, plain)
        except Exception as error:
            log.warning("steps cannot be captured as graphs and run one by one: %s", describe_error(error))
            return None
        return captured

    def _compare(self, captured: Captured, plain: dict[str, Tensor]) -> None:
        """Raise a RuntimeError where replayed passes give other numbers than plain ones."""
        captured.attach_gradients()
        for graph in captured.graphs:
            graph.replay()
        logs = [done.logs for done in captured.passes]
        replayed = summarize(logs, [gradient for _, gradient in captured.gradients])
        require_close(plain, replayed, "replayed", REPLAYED_TOLERANCE)

    def _capture(self, passes: Passes, batch: Batch, drawn: Any) -> tuple[Captured, dict[str, Tensor]]:
        """Capture the passes; return with them what plain ones log, and the size of their gradients."""
        inputs = pytree.tree_map_only(Tensor, torch.clone, (batch, drawn))
        with self.graphs.on_stream():
            logs = [done.logs for done in super()._run_fast(passes, *inputs)]  # allocates the gradients
        weights = self.networks.parameters()
        gradients = [(weight, weight.grad) for weight in weights if weight.grad is not None]
        plain = summarize(logs, [gradient for _, gradient in gradients])
        graphs, captured = [self.graphs.make() for _ in self.names], list[Pass]()
        running = super()._run_fast(passes, *inputs)
        for graph in graphs:
            done = graph.capture(lambda: next(running))
            # Not the loss itself, which would keep what its backward has used.
            captured.append(done._replace(loss=done.loss.detach()))
        next(running, None)  # leaves what the passes have entered
        return Captured(graphs, captured, inputs, gradients), plain


def same_form(a: Any, b: Any) -> bool:
    """Return whether two trees of tensors have one form, and their tensors one shape and type each."""
    (ours, form), (theirs, other_form) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    if form != other_form:
        return False
    pairs = [(x, y) for x, y in zip(ours, theirs, strict=True) if isinstance(x, Tensor)]
    return all(x.shape == y.shape and x.dtype == y.dtype for x, y in pairs)


def copy_into(place: Any, tree: Any) -> None:
    """Copy the tensors of a tree into those of another, see `same_form`."""
    for to, new in zip(pytree.tree_leaves(place), pytree.tree_leaves(tree), strict=True):
        if isinstance(to, Tensor):
            to.copy_(new, non_blocking=True)
