"""Read annotations: the keys that a constructor takes, and what a value must be, in words."""

import functools
import inspect
import pkgutil
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required, Union

from hrda_lit.config.ranges import KeysOf, Length, Range
from hrda_lit.system.text import LONGEST_REASON, shorten

WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "text",
    type(None): "null",
    Any: "anything",
}


class Keys(NamedTuple):
    """The keys that a constructor, a dataclass or a TypedDict takes."""

    hints: Mapping[str, Any]  # as far as known
    names: frozenset[str] | None  # None: any
    required: frozenset[str]  # those without a default


@functools.cache
def hints_of(made: Any) -> Mapping[str, Any]:
    """Look up the annotation of each key; none where annotations cannot be resolved."""
    constructor = inspect.isclass(made) and not typing.is_typeddict(made)
    try:
        return typing.get_type_hints(made.__init__ if constructor else made, include_extras=True)
    except (NameError, TypeError):  # names that are imported for type checkers only
        return {}


@functools.cache
def keys_of(made: Any) -> Keys:
    """Look up the keys of a constructor, a dataclass or a TypedDict; any key where it does not say."""
    hints = hints_of(made)
    if typing.is_typeddict(made):
        return Keys(hints, frozenset(hints), made.__required_keys__)
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return Keys(hints, None, frozenset())
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    any_key = any(one.kind is one.VAR_KEYWORD for one in parameters)
    names = None if any_key else frozenset(one.name for one in named)
    return Keys(hints, names, frozenset(one.name for one in named if one.default is one.empty))


def keys_of_group(group: KeysOf) -> Keys:
    """Join the keys of all classes of a group."""
    hints: dict[str, Any] = {}
    names: set[str] = set()
    required: set[str] = set()
    for cls in group.classes:
        keys = keys_of(pkgutil.resolve_name(cls) if isinstance(cls, str) else cls)
        hints.update(keys.hints)
        names.update(keys.names or ())
        required.update(keys.required)
    return Keys(hints, None if group.others else frozenset(names), frozenset(names if group.whole else required))


def split_notes(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split off the notes of an annotation; one that says nothing about YAML, e.g. a TypeVar, is Any."""
    notes: tuple[Any, ...] = ()
    while typing.get_origin(hint) in (Annotated, NotRequired, Required):
        hint, *more = typing.get_args(hint)
        notes += tuple(more)
    if hint is None:
        return type(None), notes
    kind = typing.get_origin(hint) or hint
    known = kind in (Union, Literal) or (inspect.isclass(kind) and kind is not object)
    return (hint if known else Any), notes


def is_mapping(kind: Any) -> bool:
    """Return whether keys with values fit a class."""
    return inspect.isclass(kind) and issubclass(kind, Mapping)


def is_list(kind: Any) -> bool:
    """Return whether a list fits a class."""
    return kind in (Iterable, Collection) or (
        inspect.isclass(kind) and issubclass(kind, Sequence | Set) and not issubclass(kind, str)
    )


def describe(hint: Any) -> str:
    """Say what an annotation asks for, e.g. "a number in [0, 1] or null"."""
    base, notes = split_notes(hint)
    kind, args = typing.get_origin(base) or base, typing.get_args(base)
    if any(isinstance(note, KeysOf) for note in notes):
        return "a group of keys"
    if kind is Literal:
        words = " or ".join(dict.fromkeys(map(str, args)))
    elif kind in (Union, types.UnionType):
        words = " or ".join(dict.fromkeys(map(describe, args)))
    elif is_mapping(kind):
        words = f"keys with values, each {describe(args[1])}" if args else "keys with values"
    elif is_list(kind):
        length = "".join(f" {note}" for note in notes if isinstance(note, Length))
        words = f"a list{length}, each {describe(args[0])}" if args else "a list"
    else:
        words = WORDS.get(base, "a group of keys with a _target_")
    bounds = [str(note) for note in notes if isinstance(note, Range)]
    return shorten(" ".join([words, *bounds]), LONGEST_REASON)
