"""Values are checked against any annotation, also of other people's classes."""

import os
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar

import pytest

from hrda_lit.config.ranges import OpenPart, Part, Positive, Share
from hrda_lit.config.values import check
from hrda_lit.methods.base import Method
from hrda_lit.ops.weak_jitter import WeakJitter

T = TypeVar("T")
Number = NewType("Number", int)
COUNTER = {"_target_": "collections.Counter"}


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (dict, {"a": 1}), (Mapping, {"a": {"b": [1]}}), (list, [1, "a"]), (tuple, [1]), (set, ["a"]), (Sequence, []),
        (Iterable[str], ["a"]), (Collection[int], [1, 2]), (tuple[int, ...], [1, 2, 3]), (tuple[int, str], [1, "a"]),
        (object, 3), (object, {"a": 1}), (T, "x"), (Number, 3), (Callable[..., int], COUNTER), (type[Path], COUNTER),
        (Path, "x"), (str | os.PathLike, "x"), (float, 3), (float, -1e308), (None, None), (Annotated[T, "note"], [1]),
        (Literal[16, "16"], "16"), (Any, COUNTER | {"_partial_": True}),
        (Callable[..., int], COUNTER | {"_args_": [[1]]}),
        (typing.Union[int, "list[int]"], 3), (OpenPart, COUNTER | {"_partial_": True}),
    ],
)  # fmt: skip
def test_what_fits(hint: Any, value: Any) -> None:
    check(value, hint, "x")


@pytest.mark.parametrize(
    ("hint", "value", "sentence"),
    [
        (dict, [1], "x=[1]: expected keys with values; correct x."),
        (list, {"a": 1}, "x={'a': 1}: expected a list; correct x."),
        (Iterable[str], [3], "x[0]=3: expected text; put it into quotes."),
        (Iterable[str], "abc", "x=abc: expected a list, each text; correct x."),
        (float, 10**400, "x=1000"),
        (Positive, 10**400, "x=1000"),
        (Share, True, "x=true: expected a number in [0, 1]; correct x."),
        (int, True, "x=true: expected a whole number; correct x."),
        (Literal[16, "16"], 16.0, "x=16.0: expected 16; correct x."),
        (Any, {"_target_": "nowhere"}, "x._target_=nowhere: expected the dotted name of a class that can be imported"),
        (Any, {"_target_": "os.sep"}, "x._target_=os.sep: expected the dotted name of a class; correct"),
        (Any, {"a": float("nan")}, "x.a=nan: expected a number; correct x.a."),
        (Any, {"_args_": [1]}, "unknown key x._args_; Hydra's own keys have no effect here, remove it."),
        (Any, {"_target_": 3}, "x._target_=3: expected text; put it into quotes."),
        (
            WeakJitter | None,
            {"_target_": "hrda_lit.ops.colour.StrongAugmentation"},
            "x._target_=hrda_lit.ops.colour.StrongAugmentation: expected hrda_lit.ops.weak_jitter.WeakJitter; correct",
        ),
    ],
)
def test_what_does_not_fit(hint: Any, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        check(value, hint, "x")
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("hint", [Part, OpenPart, Method, Part | None])
@pytest.mark.parametrize("key", ["_partial_", "_convert_", "_recursive_", "_args_"])
def test_hydras_own_keys_are_not_for_parts(hint: Any, key: str) -> None:
    value = {"_target_": "collections.Counter", key: {"_convert_": "all", "_args_": [1]}.get(key, True)}
    if (hint, key) == (OpenPart, "_partial_"):
        check(value, hint, "x")
        return
    with pytest.raises(ValueError, match=f"unknown key x.{key}; Hydra's own keys have no effect here, remove it"):
        check(value, hint, "x")


def test_a_long_list_of_choices_is_cut() -> None:
    with pytest.raises(ValueError) as caught:
        check("x", Literal[tuple(f"choice_{i}" for i in range(500))], "k" * 1000)
    assert len(str(caught.value)) < 500
