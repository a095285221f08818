"""Graphs without a GPU: the operators of some work, written down and done again over the same memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from tests.waits import waits

T = TypeVar("T")


class Tape:
    """Replays operators with the very tensors they were recorded with, as a CUDA graph does.

    Numbers of the host are frozen in it, and what would wait for a device cannot be written down.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def capture(self, work: Callable[[], T]) -> T:
        with _Recorder(self.calls):
            return work()

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for function, args, kwargs, outs in self.calls:
            for out, new in zip(pytree.tree_leaves(outs), pytree.tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(out, Tensor) and place(out) != place(new):  # neither a view nor changed in place
                    out.copy_(new)


def place(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


class _Recorder(TorchDispatchMode):
    def __init__(self, calls: list[tuple[Any, Any, Any, Any]]) -> None:
        super().__init__()
        self.calls = calls

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if waits(function, args):
            raise RuntimeError(f"{function} cannot be captured\nit waits for the device")
        outs = function(*args, **(kwargs or {}))
        # Detached, so that they keep their memory and not the history.
        self.calls.append(pytree.tree_map_only(Tensor, Tensor.detach, (function, args, kwargs or {}, outs)))
        return outs


class Tapes:
    """Makes tapes, of which it keeps a list."""

    def __init__(self) -> None:
        self.made: list[Tape] = []

    def make(self) -> Tape:
        self.made.append(Tape())
        return self.made[-1]

    @contextmanager
    def on_stream(self) -> Iterator[None]:
        yield
