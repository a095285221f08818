"""Check the values of a config, or of a call from Python, against the annotations of what they are given to."""

import functools
import inspect
import math
import pkgutil
import types
import typing
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar, Union

from hrda_lit.config import messages
from hrda_lit.config.ranges import KeysOf, Length, Range, Without
from hrda_lit.config.signatures import Keys, hints_of, keys_of, keys_of_group

C = TypeVar("C")
MISSING = "???"  # OmegaConf's mark of a key that the user must set
# Keys of Hydra's own in a part, and what they hold.
RESERVED = {
    "_target_": str,
    "_partial_": bool,
    "_recursive_": bool,
    "_convert_": Literal["none", "partial", "object", "all"],
    "_args_": list[Any],
}
WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "text",
    type(None): "null",
    Any: "anything",
}


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
    base, notes = _split(hint)
    origin = typing.get_origin(base)
    keys = next((note for note in notes if isinstance(note, KeysOf)), None)
    if base is Any or (isinstance(value, str) and value == MISSING):
        _check_inside(value, key)
    elif origin in (Union, types.UnionType):
        _check_union(value, base, key)
    elif isinstance(value, Mapping) and keys is not None and (_is_a(origin, Mapping) or "_target_" not in value):
        _check_keys(value, keys_of_group(keys), key, notes)
    elif base in WORDS or origin is Literal:
        if not _fits(value, base, notes):
            raise _refusal(value, hint, key)
    elif isinstance(value, Mapping) and _is_a(origin, Mapping):
        _check_items(value, typing.get_args(base), key)
    elif isinstance(value, Mapping) and "_target_" in value and not _is_a(origin or base, Sequence | Set):
        _check_part(value, key, notes)
    elif isinstance(value, list | tuple) and _is_a(origin or base, Sequence | Set):
        _check_list(value, hint, key)
    else:
        raise _refusal(value, hint, key)


def check_names(given: Iterable[str], names: Iterable[str] | None, required: Iterable[str], key: str = "") -> None:
    """Refuse unknown keys, and the lack of required ones.

    Args:
        given: names of the keys.
        names: those there are; None: any.
        required: those that must be there.
        key: dotted name of their group, "" for the root.

    Raises:
        WrongValueError: if one is unknown or missing.
    """
    given = list(given)
    for name in given if names is not None else ():
        if name not in set(names or ()):
            full = _join(key, name)
            raise WrongValueError(full, messages.unknown_key(full, [_join(key, other) for other in names or ()]))
    for name in sorted(set(required) - set(given)):
        raise WrongValueError(key, messages.missing_key(_join(key, name)))


def describe(hint: Any) -> str:
    """Say what an annotation asks for, e.g. "a number in [0, 1] or null"."""
    base, notes = _split(hint)
    origin, args = typing.get_origin(base), typing.get_args(base)
    if any(isinstance(note, KeysOf) for note in notes):
        return "a group of keys"
    if origin is Literal:
        words = " or ".join(dict.fromkeys(map(str, args)))
    elif origin in (Union, types.UnionType):
        words = " or ".join(dict.fromkeys(map(describe, args)))
    elif _is_a(origin, Mapping):
        words = f"keys with values, each {describe(args[1])}"
    elif _is_a(origin, Sequence | Set):
        length = "".join(f" {note}" for note in notes if isinstance(note, Length))
        words = f"a list{length}, each {describe(args[0])}"
    else:
        words = WORDS.get(base, "a group of keys with a _target_")
    return " ".join([words, *(str(note) for note in notes if isinstance(note, Range))])


def _check_union(value: Any, union: Any, key: str) -> None:
    found: list[WrongValueError] = []
    for choice in typing.get_args(union):
        try:
            return check(value, choice, key)
        except WrongValueError as error:
            found.append(error)
    # Of a list or keys, the choice that got deepest tells best what is wrong.
    deepest = max(found, key=lambda error: error.depth)
    raise deepest if deepest.depth > min(error.depth for error in found) else _refusal(value, union, key)


def _check_keys(value: Mapping[Any, Any], keys: Keys, key: str, notes: Sequence[Any] = ()) -> None:
    ours = frozenset[str]().union(*(note.names for note in notes if isinstance(note, Without)))
    names = None if keys.names is None else keys.names - ours
    _refuse_reserved(value, key)
    check_names(map(str, value), names, keys.required - ours, key)
    for name, item in value.items():
        check(item, keys.hints.get(str(name), Any), _join(key, name))


def _check_items(value: Mapping[Any, Any], hints: Sequence[Any], key: str) -> None:
    _refuse_reserved(value, key)
    for name, item in value.items():
        if not _fits(name, *_split(hints[0])):
            raise WrongValueError(_join(key, name), messages.wrong_name(key, name, describe(hints[0])))
        check(item, hints[1], _join(key, name))


def _check_part(value: Mapping[Any, Any], key: str, notes: Sequence[Any]) -> None:
    # Parts of this library are built in one way alone.
    allowed = RESERVED if not str(value["_target_"]).startswith("hrda_lit.") else ("_target_", "_partial_")
    _refuse_reserved({name: None for name in value if name not in allowed}, key)
    for name in RESERVED.keys() & value.keys():
        check(value[name], RESERVED[name], _join(key, name))
    keys = keys_of(_resolve(value["_target_"], _join(key, "_target_")))
    # A partial may leave open what its constructor requires.
    left_open = {name for name in keys.required if value.get("_partial_") and value.get(name, 0) is None}
    if value.get("_partial_") or value.get("_args_"):
        keys = keys._replace(required=frozenset())
    _check_keys({name: value[name] for name in value if name not in {*RESERVED, *left_open}}, keys, key, notes)


def _refuse_reserved(value: Mapping[Any, Any], key: str) -> None:
    if names := [name for name in value if name in RESERVED]:
        raise WrongValueError(_join(key, names[0]), messages.unknown_key(_join(key, names[0]), ()))


def _resolve(target: str, key: str) -> Any:
    try:
        made = pkgutil.resolve_name(target)
    except Exception as error:  # whatever a module of someone else's raises
        raise _refusal(target, f"the dotted name of a class that can be imported ({error})", key) from error
    if not callable(made):
        raise _refusal(target, "the dotted name of a class", key)
    return made


def _check_list(value: Sequence[Any], hint: Any, key: str) -> None:
    base, notes = _split(hint)
    items = [item for item in typing.get_args(base) if item is not Ellipsis] or [Any]
    short = any(isinstance(note, Length) and not note.holds(value) for note in notes)
    if short or (len(items) > 1 and len(items) != len(value)):
        raise _refusal(value, hint, key)
    for index, item in enumerate(value):
        check(item, items[index % len(items)], f"{key}[{index}]")


def _check_inside(value: Any, key: str) -> None:
    """Check the parts and numbers inside of what may be anything."""
    if isinstance(value, Mapping) and "_target_" in value:
        _check_part(value, key, ())
    elif isinstance(value, Mapping):
        _check_items(value, (Any, Any), key)
    elif isinstance(value, list | tuple):
        _check_list(value, list[Any], key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refusal(value, float, key)


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotation without its notes, and the notes."""
    notes: tuple[Any, ...] = ()
    while typing.get_origin(hint) in (Annotated, NotRequired):
        hint, *more = typing.get_args(hint)
        notes += tuple(more)
    return (type(None) if hint is None else hint), notes


def _fits(value: Any, base: Any, notes: Sequence[Any]) -> bool:
    if base is Any:
        return True
    if typing.get_origin(base) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in typing.get_args(base))
    if base is float:
        right = type(value) is int or (isinstance(value, float) and math.isfinite(value))
    else:
        right = isinstance(value, str if base is Path else base) and (base is bool or not isinstance(value, bool))
    return right and all(note.holds(value) for note in notes if isinstance(note, Range))


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _is_a(base: Any, kind: Any) -> bool:
    return inspect.isclass(base) and issubclass(base, kind) and not issubclass(base, str)


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _refusal(value: Any, hint: Any, key: str) -> WrongValueError:
    return WrongValueError(key, messages.wrong_value(key, value, hint if isinstance(hint, str) else describe(hint)))
