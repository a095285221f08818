"""Weights that are cast once give the gradients of weights that are cast at every call."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hrda_lit.ops.rng import generator
from hrda_lit.training.step_runner import cast_once


class Casts(TorchDispatchMode):
    """Count casts of tensors of a shape."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        half = (kwargs or {}).get("dtype") == torch.bfloat16
        self.count += half and function is torch.ops.aten._to_copy.default and args[0].shape == self.shape
        return function(*args, **(kwargs or {}))


def passes(layer: nn.Linear) -> tuple[int, list[Tensor]]:
    drawn, losses = generator("casts"), list[Tensor]()
    layer.zero_grad()
    with Casts(layer.weight.shape) as casts:
        for _ in range(3):
            loss = layer(torch.randn(4, 8, generator=drawn)).float().square().sum()
            loss.backward()
            losses.append(loss.detach())
    assert layer.weight.grad is not None
    return casts.count, [*losses, layer.weight.grad.clone()]


def test_gradients_are_the_same() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(8, 5)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        plain = passes(layer)
        with cast_once():
            once = passes(layer)
        assert not torch.is_autocast_cache_enabled()
        with torch.no_grad():
            layer.weight.mul_(2)
        with cast_once():
            changed = passes(layer)
        again = passes(layer)
    assert plain[0] == again[0] == 3
    assert once[0] == changed[0] == 1
    for a, b in ((plain, once), (again, changed)):
        assert all(torch.equal(x, y) for x, y in zip(a[1], b[1], strict=True))
        assert a[1][-1].dtype == torch.float32
    assert not torch.equal(once[1][0], changed[1][0]), "nothing of an earlier step is kept"
