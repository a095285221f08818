"""Check the values of a config, or of a call from Python, against the annotations of constructors."""

import functools
import inspect
import math
import pkgutil
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from hrda_lit.config import messages
from hrda_lit.config.annotations import (
    WORDS,
    Keys,
    describe,
    hints_of,
    is_list,
    is_mapping,
    keys_of,
    keys_of_group,
    split_notes,
)
from hrda_lit.config.ranges import KeysOf, Length, OpenPart, Part, Range, Without

C = TypeVar("C")
MISSING = "???"  # OmegaConf's mark of a key that the user must set
RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}  # Hydra's own keys


class WrongValueError(ValueError):
    """One sentence: which key holds what, and what it needs."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.depth = key.count(".") + key.count("[")


def check_arguments(cls: C) -> C:
    """Decorate a class so that its constructor refuses plain values that do not fit their annotations.

    Objects are let through: what builds them has checked them.
    """
    made: Any = cls
    init = made.__init__
    names = list(inspect.signature(init).parameters)[1:]

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        hints = hints_of(made)
        for name, value in {**dict(zip(names, args, strict=False)), **kwargs}.items():
            if name in hints and _is_plain(value):
                check(value, hints[name], name)
        init(self, *args, **kwargs)

    made.__init__ = checked
    return cls


def check(value: Any, hint: Any, key: str) -> None:
    """Refuse a value of another type or out of range.

    Args:
        value: plain containers and scalars, as YAML knows them.
        hint: annotation, with `Range`, `Length`, `KeysOf` and `Without` in it.
        key: dotted name, for errors.

    Raises:
        WrongValueError: if it does not fit.
    """
    base, notes = split_notes(hint)
    kind = typing.get_origin(base) or base
    if base is Any or (isinstance(value, str) and value == MISSING):
        _check_inside(value, key)
    elif kind in (Union, types.UnionType):
        _check_union(value, base, key)
    elif kind is Literal or base in WORDS:
        if not _fits(value, base, notes):
            raise _refusal(value, hint, key)
    elif isinstance(value, Mapping):
        _check_mapping(value, hint, key)
    elif isinstance(value, list | tuple) and is_list(kind):
        _check_list(value, hint, key)
    else:
        raise _refusal(value, hint, key)


def check_names(given: Iterable[str], names: Iterable[str] | None, required: Iterable[str], key: str = "") -> None:
    """Raise WrongValueError if a given name is not among `names` (None: any), or a required one is not given.

    `key` is the dotted name of their group, "" for the root.
    """
    given = list(given)
    known = set(given if names is None else names)
    for name in given:
        if name not in known:
            full = _join(key, name)
            raise WrongValueError(full, messages.unknown_key(full, [_join(key, other) for other in known]))
    for name in sorted(set(required) - set(given)):
        raise WrongValueError(key, messages.missing_key(_join(key, name)))


def _check_union(value: Any, union: Any, key: str) -> None:
    found: list[WrongValueError] = []
    for choice in typing.get_args(union):
        try:
            return check(value, choice, key)
        except WrongValueError as error:
            found.append(error)
    # Of a list or keys, the choice that got deepest says best what is wrong.
    deepest = max(found, key=lambda error: error.depth)
    raise deepest if deepest.depth > min(error.depth for error in found) else _refusal(value, union, key)


def _check_mapping(value: Mapping[Any, Any], hint: Any, key: str) -> None:
    base, notes = split_notes(hint)
    kind = typing.get_origin(base) or base
    group = next((note for note in notes if isinstance(note, KeysOf)), None)
    if group is not None and (is_mapping(kind) or "_target_" not in value):
        _check_keys(value, keys_of_group(group), key, notes)
    elif is_mapping(kind):
        _check_items(value, typing.get_args(base) or (Any, Any), key)
    elif "_target_" in value and not is_list(kind):
        _check_part(value, hint, key)
    else:
        raise _refusal(value, hint, key)


def _check_keys(value: Mapping[Any, Any], keys: Keys, key: str, notes: Sequence[Any] = ()) -> None:
    ours: set[str] = set()
    for note in notes:
        if isinstance(note, Without):
            ours.update(note.names)
    _refuse_reserved(value, key)
    check_names(map(str, value), None if keys.names is None else keys.names - ours, keys.required - ours, key)
    for name, item in value.items():
        check(item, keys.hints.get(str(name), Any), _join(key, name))


def _check_items(value: Mapping[Any, Any], hints: Sequence[Any], key: str) -> None:
    _refuse_reserved(value, key)
    for name, item in value.items():
        if not _fits(name, *split_notes(hints[0])):
            raise WrongValueError(_join(key, name), messages.wrong_name(key, name, describe(hints[0])))
        check(item, hints[1], _join(key, name))


def _check_part(value: Mapping[Any, Any], hint: Any, key: str) -> None:
    base, notes = split_notes(hint)
    allowed = RESERVED
    if _is_own(base):  # the library builds it in one way only
        allowed = {"_target_", "_partial_"} if base is OpenPart else {"_target_"}
    _refuse_reserved(value.keys() - allowed, key)
    check(value["_target_"], str, _join(key, "_target_"))
    check(value.get("_partial_", False), bool, _join(key, "_partial_"))
    made = _resolve(value["_target_"], _join(key, "_target_"))
    if _is_own(base) and _is_own(made) and not issubclass(base, Part) and not issubclass(made, base):
        raise _refusal(value["_target_"], f"{base.__module__}.{base.__name__}", _join(key, "_target_"))
    keys = keys_of(made)
    # A partial may leave open what its constructor requires.
    partial = value.get("_partial_")
    left_open = {name for name in keys.required if partial and value.get(name, 0) is None}
    if partial or value.get("_args_"):
        keys = keys._replace(required=frozenset())
    given = {name: value[name] for name in value if name not in RESERVED | left_open}
    _check_keys(given, keys, key, notes)


def _is_own(made: Any) -> bool:
    return inspect.isclass(made) and made.__module__.startswith("hrda_lit.")


def _refuse_reserved(names: Iterable[Any], key: str) -> None:
    for name in sorted(RESERVED & set(names)):
        raise WrongValueError(_join(key, name), messages.reserved_key(_join(key, name)))


def _resolve(target: str, key: str) -> Any:
    try:
        made = pkgutil.resolve_name(target)
    except Exception as error:  # importing a foreign module may raise anything
        raise _refusal(target, f"the dotted name of a class that can be imported ({error})", key) from error
    if not callable(made):
        raise _refusal(target, "the dotted name of a class", key)
    return made


def _check_list(value: Sequence[Any], hint: Any, key: str) -> None:
    base, notes = split_notes(hint)
    items = [item for item in typing.get_args(base) if item is not Ellipsis] or [Any]
    short = any(isinstance(note, Length) and not note.holds(value) for note in notes)
    if short or (len(items) > 1 and len(items) != len(value)):
        raise _refusal(value, hint, key)
    for index, item in enumerate(value):
        check(item, items[index % len(items)], f"{key}[{index}]")


def _check_inside(value: Any, key: str) -> None:
    """Check the parts and numbers inside of what may be anything."""
    if isinstance(value, Mapping) and "_target_" in value:
        _check_part(value, Any, key)
    elif isinstance(value, Mapping):
        _check_items(value, (Any, Any), key)
    elif isinstance(value, list | tuple):
        _check_list(value, list[Any], key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refusal(value, float, key)


def _fits(value: Any, base: Any, notes: Sequence[Any]) -> bool:
    if base is Any:
        return True
    if typing.get_origin(base) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in typing.get_args(base))
    if isinstance(value, bool):  # an int to Python
        return base is bool
    if base is float:
        right = isinstance(value, int | float) and abs(value) <= sys.float_info.max  # not NaN, nor infinite
    else:
        right = isinstance(value, str if base is Path else base)
    return right and all(note.holds(value) for note in notes if isinstance(note, Range))


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _refusal(value: Any, hint: Any, key: str) -> WrongValueError:
    expected = hint if isinstance(hint, str) else describe(hint)
    return WrongValueError(key, messages.wrong_value(key, value, expected))
