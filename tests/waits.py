"""What makes the host wait for a device, counted on a CPU, where nothing waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten
# Each needs a number, or a shape, that only the device knows.
WAITS = {
    ATEN._local_scalar_dense, ATEN.nonzero, ATEN.masked_select, ATEN._unique2, ATEN.unique_dim, ATEN.unique_consecutive,
    ATEN.equal, ATEN.is_nonzero, ATEN.repeat_interleave,
}  # fmt: skip


class Waits(TorchDispatchMode):
    """Write down every operator that would wait, while `watching`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.watching = True

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.watching and waits(function, args):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))

    @contextmanager
    def off(self) -> Iterator[None]:
        """Look away from what computes on the CPU by right."""
        before, self.watching = self.watching, False
        yield
        self.watching = before


def waits(function: Any, args: Any) -> bool:
    """Return whether an operator of ATen would make the host wait for the device."""
    by_mask = function.overloadpacket in (ATEN.index, ATEN.index_put, ATEN.index_put_) and any(
        isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
    )
    return by_mask or function.overloadpacket in WAITS


def as_on_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """Let a CPU take the ways that are a GPU's: no questions to tensors, the fused optimiser."""
    for user in ("ops.backends", "training.skipped_steps"):
        patch.setattr(f"hrda_lit.{user}.reading_is_free", lambda _: False)
    patch.setattr("hrda_lit.optim._on_gpu", lambda _: True)
