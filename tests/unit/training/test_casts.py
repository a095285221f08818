"""Weights that a compiled region finds in half precision: the same numbers, and nothing else changes."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hrda_lit.networks.encoder_layers import LowRank, add_low_rank_
from hrda_lit.ops.rng import generator
from hrda_lit.training.regions import cast_together, list_cast_weights
from hrda_lit.training.step_runner import cast_once


class Region(nn.Module):
    """Uses one layer twice, and one not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.LayerNorm(4), nn.Linear(4, 4)
        self.unused = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.conv(x).flatten(2).transpose(1, 2)
        return self.linear(torch.relu(self.linear(self.norm(seen))))


def region() -> Region:
    torch.manual_seed(0)
    return Region()


def passes(made: nn.Module) -> list[Tensor]:
    drawn = generator("casts")
    losses = []
    for _ in range(2):
        loss = made(torch.randn(2, 4, 5, 5, generator=drawn)).float().square().sum()
        loss.backward()
        losses.append(loss.detach())
    return losses


def test_losses_and_gradients_are_those_of_autocast() -> None:
    plain, made = region(), region()
    with torch.autocast("cpu", torch.bfloat16):
        with cast_once():
            expected = passes(plain)
        with cast_together([list_cast_weights(made)]):
            assert made.linear.weight.dtype == made.conv.bias.dtype == torch.bfloat16
            assert made.norm.weight.dtype == torch.float32, "which autocast does not cast"
            losses = passes(made)
    assert all(torch.equal(a, b) for a, b in zip(losses, expected, strict=True))
    for (name, a), b in zip(made.named_parameters(), plain.parameters(), strict=True):
        if name.startswith("unused"):
            assert a.grad is b.grad is None
        else:
            assert a.grad is not None
            assert a.grad.dtype == torch.float32
            assert torch.equal(a.grad, b.grad), name


def test_parameters_stay_what_they_are() -> None:
    made = region()
    weights, names = dict(made.named_parameters()), list(made.state_dict())
    with torch.autocast("cpu", torch.bfloat16), cast_together([list_cast_weights(made)]):
        assert all(weights[name] is weight for name, weight in made.named_parameters())
        assert list(made.state_dict()) == names
        assert made.linear.weight is not weights["linear.weight"]
    assert made.linear.weight is weights["linear.weight"]
    assert made.conv.bias is weights["conv.bias"]
    copy.deepcopy(made)


def test_what_fails_inside_leaves_no_copy() -> None:
    made = region()
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError):  # noqa: SIM117
        with cast_together([list_cast_weights(made)]):
            made(torch.ones(1))
    assert made.linear.weight is made.linear._parameters["weight"]


def test_without_autocast_nothing_is_cast() -> None:
    made = region()
    with cast_together([list_cast_weights(made), []]):
        assert made.linear.weight is made.linear._parameters["weight"]


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


def with_low_rank() -> nn.Module:
    made = nn.Sequential(nn.Linear(4, 4))
    add_low_rank_(made, LowRank(2, 4.0))
    return made


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm2d(3)), ["weight", "bias"]),
        (lambda: nn.Linear(2, 3, bias=False), ["weight"]),
        (lambda: nn.Linear(2, 3).requires_grad_(False), []),
        (lambda: Standardised(2, 3, 3), []),  # computes with its weight before the product
        (with_low_rank, []),  # its weight is a sum
    ],
)
def test_which_weights(make: Callable[[], Any], expected: list[str]) -> None:
    assert [weight.name for weight in list_cast_weights(make())] == expected
