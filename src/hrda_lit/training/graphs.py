"""CUDA graphs: work that is captured once and replayed by one call, over the same memory."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class CudaGraphs:
    """Make graphs that share their memory, because they are captured and replayed in one order.

    Random numbers are those of the device's generator as it stands at each replay, as without a graph. Runners know no
    more than `make`, `aside`, `Graph.capture` and `Graph.replay`, so that tests run without a GPU.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def make(self) -> "Graph":
        """Return a graph that holds nothing yet."""
        return Graph(self._pool, self._stream)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on the stream where graphs are captured, so that what libraries keep for a stream is there before."""
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            here.wait_stream(self._stream)


class Graph:
    """One piece of work.

    Args:
        pool: memory that graphs share.
        stream: stream on which they are captured.
    """

    def __init__(self, pool: Any, stream: torch.cuda.Stream) -> None:
        self._pool, self._stream, self._graph = pool, stream, torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], T]) -> T:
        """Record what `work` asks the device for.

        Args:
            work: waits for nothing; every tensor that it reads or returns stays where it is.

        Returns:
            What `work` returned; its tensors get their numbers by `replay`.

        Raises:
            RuntimeError: if `work` does what cannot be captured.
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
