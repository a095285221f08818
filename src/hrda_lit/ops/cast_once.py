"""Autocast without casting a weight twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cast_once() -> Iterator[None]:
    """Let autocast keep its casts of weights, over all passes that go forward in here, until the weights change.

    Autocast casts a float32 weight at every call, unless it keeps what it has cast, which it does for weights that
    require gradients. The gradients of several passes are still summed in float32, those of several uses in one pass
    in the type of the cast, as always where autocast keeps its casts. Weights must not change inside.
    """
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)
        torch.clear_autocast_cache()
