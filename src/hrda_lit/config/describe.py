"""Saying in words what an annotation asks for and what came instead."""

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Union

from hrda_lit.ops.ranges import KeysOf, Length, Range

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "text",
    type(None): "null",
    Any: "anything",
}
_LONGEST = 80


def describe(hint: Any) -> str:
    """Say what an annotation asks for, e.g. "a number in [0, 1] or null"."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is Annotated:
        return _noted(args[0], args[1:])
    if origin is NotRequired:
        return describe(args[0])
    if origin is Literal:
        return " or ".join(dict.fromkeys(map(str, args)))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(describe, args)))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list, each {describe(args[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"keys with values, each {describe(args[1])}"
    return "a group of keys with a _target_"


def _noted(base: Any, notes: Sequence[Any]) -> str:
    words = describe(base)
    for note in notes:
        if isinstance(note, Range):
            words = f"{words} {note}"
        elif isinstance(note, Length):
            words = words.replace("a list", f"a list {note}", 1)
        elif isinstance(note, KeysOf):
            words = "a group of keys"
    return words


def shown(value: Any) -> str:
    """Show a value as a config writes it, on one short line."""
    known = {"None": "null", "True": "true", "False": "false"}
    text = " ".join(repr(value).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    return known.get(text, text)
