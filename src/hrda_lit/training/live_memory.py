"""Following the bytes of tensors that are alive, real ones or such that have a shape alone."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes of what operators make, until it is freed; views and in-place operators make nothing.

    Attributes:
        now: bytes alive.
        peak: the most of them since `restart`.
        operators: how many ran.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.operators = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        self.operators += 1
        for one in pytree.tree_leaves(made) if isinstance(made, list | tuple) else (made,):
            if isinstance(one, Tensor):
                self._follow(one.untyped_storage())
        return made

    def restart(self) -> None:
        """Forget the peak."""
        self.peak = self.now

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@contextlib.contextmanager
def like_cuda() -> Iterator[None]:
    """Let autocast on a CPU compute in float32 what autocast on a GPU does, which keeps more for the way back."""
    with contextlib.ExitStack() as stack:
        # Not by a mode of overrides, which is off while the engine of autograd computes parts again.
        for name in ("layer_norm", "cross_entropy"):
            stack.enter_context(mock.patch.object(F, name, _in_float32(getattr(F, name))))
        yield


def _in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(x.float() if torch.is_autocast_enabled("cpu") else x, *args, **kwargs)

    return call
