"""Shapes of networks on the meta device, without the seconds its Python definitions take."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# What gives back a tensor of the shape of its first argument, whatever else it gets.
SAME = {aten.clamp.default, aten.gelu.default, aten._softmax.default, aten._safe_softmax.default, aten.mul.Scalar}
FILLED = {
    aten.normal_.default, aten.uniform_.default, aten.erfinv_.default, aten.clamp_.default, aten.mul_.Scalar
}  # in place  # fmt: skip


class ShapesAlone(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answer by shape the frequent operations that torch defines in Python on the meta device.

    All others, convolutions and matrix products among them, are torch's own and check what they get.
    """

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Return what `func` would, of the same shapes and types."""
        first = args[0] if args else None
        if not isinstance(first, Tensor) or not first.is_meta:
            return func(*args, **(kwargs or {}))
        if func in FILLED:
            return first
        if func in SAME:
            return torch.empty_like(first)
        if func is aten.native_batch_norm.default:
            return torch.empty_like(first), first.new_empty(first.shape[1]), first.new_empty(first.shape[1])
        if func is aten.native_layer_norm.default:
            rows = first.shape[: first.ndim - len(args[1])] + (1,) * len(args[1])
            return torch.empty_like(first), first.new_empty(rows), first.new_empty(rows)
        if func is aten.upsample_bilinear2d.default:
            return first.new_empty((*first.shape[:2], *args[1]))
        return func(*args, **(kwargs or {}))
