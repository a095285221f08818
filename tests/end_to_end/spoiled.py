"""Checkpoints of a training with one wrong entry each, the same for the same seed."""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

Content = dict[str, Any]
Place = tuple[Any, ...]
OTHER_TYPES: tuple[Any, ...] = (
    None, "x", "", 3, 2.5, True, [], {}, (1, 2), [None], {"a": 1}, b"x", torch.zeros(2), torch.zeros(0), "a\nb",
    [[[[]]]], {"_target_": "os.mkdir"}, "${a}", "9" * 1000,
)  # fmt: skip
NUMBERS = (-1, -(10**9), 10**12, 10**30, float("nan"), float("inf"), float("-inf"), 1e300, -1e300)
TENSORS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda tensor: tensor.flatten()[:-1],
    lambda tensor: tensor[None],
    lambda tensor: torch.cat([tensor.reshape(-1), tensor.reshape(-1)]),
    lambda tensor: tensor.half(),
    lambda tensor: tensor.double(),
    lambda tensor: tensor.bfloat16(),
    lambda tensor: tensor.to(torch.complex64),
    lambda tensor: tensor.int() if tensor.is_floating_point() else tensor.float(),
    lambda tensor: tensor.bool(),
    lambda tensor: tensor.to_sparse(),
    lambda tensor: tensor.to("meta"),
    lambda tensor: with_first(tensor, float("nan")),
    lambda tensor: with_first(tensor, float("-inf")),
)
NOT_NEGATIVE = ("exp_avg_sq", "step", "counts", "running_var")


class Spoiled(NamedTuple):
    """A wrong checkpoint, and where and how it is wrong."""

    content: Content
    place: Place
    how: str

    def __str__(self) -> str:
        return f"{self.how} at {'.'.join(map(str, self.place))}"


def with_first(tensor: Tensor, value: float) -> Tensor:
    """Replace the first number, where there is one."""
    changed = tensor.clone() if tensor.is_floating_point() else tensor.float()
    if changed.numel():
        changed[(0,) * changed.dim()] = value
    return changed


def places(node: Any, place: Place = ()) -> Iterator[Place]:
    """List where in a tree something is, containers included."""
    if place:
        yield place
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in inside:
        yield from places(value, (*place, key))


def spoil_entries(good: Content, count: int, seed: int = 0) -> Iterator[Spoiled]:
    """Yield so many spoiled copies; entries of few tensors come as often as those of many."""
    draw = random.Random(seed)
    everywhere: dict[Any, list[Place]] = {}
    for place in places(good):
        everywhere.setdefault(place[:2] if place[0] == "loops" else place[0], []).append(place)
    groups = list(everywhere.values())
    made = 0
    while made < count:
        place = draw.choice(draw.choice(groups))
        content = copied(good)
        how = change(content, place, draw)
        if how is not None:
            made += 1
            yield Spoiled(content, place, how)


def copied(node: Any) -> Any:
    """Copy containers and tensors."""
    if isinstance(node, dict):
        return {key: copied(value) for key, value in node.items()}
    if isinstance(node, list):
        return [copied(value) for value in node]
    return node.clone() if isinstance(node, Tensor) else node


def change(content: Content, place: Place, draw: random.Random) -> str | None:
    """Change an entry in one way that is drawn; None where that way changes nothing."""
    node: Any = content
    for key in place[:-1]:
        node = node[key]
    if isinstance(node, tuple):
        return None
    key, how = place[-1], draw.choice(("type", "missing", "extra", "renamed", "nested", "value", "value"))
    old = node[key]
    if how == "type":
        other = draw.choice(OTHER_TYPES)
        if _kind(other) is _kind(old) and not isinstance(old, dict | list | Tensor):
            return None
        node[key] = copied(other)
        return f"a {type(other).__name__}"
    if how == "nested":
        node[key] = draw.choice(([old], {"x": old}, (old,)))
    elif how == "missing":
        del node[key]
    elif how == "renamed" and isinstance(node, dict):
        node[f"{key}_"] = node.pop(key)
    elif how == "extra" and isinstance(old, dict | list):
        if isinstance(old, dict):
            old[draw.choice(("extra", 99999, "_target_"))] = draw.choice(("x", [], None, torch.zeros(1)))
        else:
            old.append(draw.choice((1, [], None, {})))
    elif how == "value" and isinstance(old, Tensor):
        ways = [*TENSORS, lambda tensor: -1 - tensor] if str(key).endswith(NOT_NEGATIVE) else TENSORS
        node[key] = draw.choice(ways)(old)
        same = node[key].dtype == old.dtype and node[key].layout == old.layout and node[key].shape == old.shape
        if same and node[key].device == old.device and torch.equal(node[key], old):
            return None
    elif how == "value" and type(old) in (int, float):
        node[key] = draw.choice(NUMBERS)
    else:
        return None
    return how


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)
