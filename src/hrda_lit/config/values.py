"""The one place that checks what a config's keys hold, against the annotations of what they are given to."""

import difflib
import inspect
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeGuard, Union

from hrda_lit.config.constructors import Hints, Names, hints_of, located, names_of, required_of
from hrda_lit.config.describe import describe, shown
from hrda_lit.ops.ranges import KeysOf, Length, Range, Without

MISSING = "???"  # OmegaConf's mark of a key that the user must set; others ask for it
Notes = tuple[Any, ...]


class WrongValueError(ValueError):
    """Say in one sentence which key holds what, and what it needs."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.depth = key.count(".") + key.count("[")


def check(value: Any, hint: Any, key: str, more: Mapping[str, Any] | None = None) -> None:
    """Refuse a value of another type or out of range.

    Args:
        value: of plain containers, as YAML knows them.
        hint: an annotation, with `Range`, `Length` and `KeysOf` in it.
        key: dotted name, for errors.
        more: by the dotted name of a constructor, keys that are known better here than there.

    Raises:
        WrongValueError: if it does not fit.
    """
    _Checker(more or {}).check(value, hint, key)


def check_names(
    given: Iterable[str], known: Iterable[str] | None, required: Iterable[str] | None = None, key: str = ""
) -> None:
    """Refuse keys that do not exist, and the lack of those that must.

    Args:
        given: names of the keys.
        known: those there are, or None for any.
        required: those that must be there; None for all that are known.
        key: dotted name of their group, "" for the root.

    Raises:
        WrongValueError: if one is unknown or missing.
    """
    given, where = list(given), key or "the config"
    for name in given if known is not None else ():
        if name not in (names := sorted(known or ())):
            close = difflib.get_close_matches(name, names, 1)
            remedy = f"{_join(key, close[0])} may be meant" if close else f"{where} may have {names}"
            raise WrongValueError(_join(key, name), f"{_join(key, name)} is no key that exists; {remedy}.")
    if lacking := sorted(set((known or ()) if required is None else required) - set(given)):
        raise WrongValueError(key, f"{where} lacks {', '.join(lacking)}, which must be set; do not delete it.")


class _Checker:
    def __init__(self, more: Mapping[str, Any]) -> None:
        self._more = more

    def check(self, value: Any, hint: Any, key: str) -> None:
        base, notes = _unwrapped(hint)
        if base is Any or _is_missing(value):
            self._inside(value, key)
        elif typing.get_origin(base) in (Union, types.UnionType):
            self._one_of(value, base, key)
        elif isinstance(value, Mapping) and (wanted := _keys_of(notes)) and "_target_" not in value:
            names = None if wanted.others else names_of(wanted.of, _given(notes))
            self.keys(value, hints_of(wanted.of), key, names, required_of(wanted.of))
        elif _is_plain(base):
            if not _fits(value, base, notes):
                raise _refusal(value, hint, key)
        elif isinstance(value, Mapping):
            self._mapping(value, hint, key)
        elif _is_list(value) and _is_sequence(base):
            self._list(value, base, hint, key, notes)
        else:
            raise _refusal(value, hint, key)

    def keys(self, value: Mapping[Any, Any], hints: Hints, key: str, names: Names, required: frozenset[str]) -> None:
        """Check every key by its own hint; `names` are those allowed, None for any."""
        given = [str(name) for name in value if not _is_reserved(str(name))]
        check_names(given, names, required, key)
        for name in given:
            self.check(value[name], hints.get(name, Any), _join(key, name))

    def _one_of(self, value: Any, union: Any, key: str) -> None:
        found: list[WrongValueError] = []
        for choice in typing.get_args(union):
            try:
                return self.check(value, choice, key)
            except WrongValueError as error:
                found.append(error)
        # Of a list or keys, the choice that got deepest tells best what is wrong.
        deepest = max(found, key=lambda error: error.depth)
        raise deepest if deepest.depth > min(e.depth for e in found) else _refusal(value, union, key)

    def _mapping(self, value: Mapping[Any, Any], hint: Any, key: str) -> None:
        base, notes = _unwrapped(hint)
        if typing.get_origin(base) in _MAPPINGS:
            names, items = typing.get_args(base)
            for name, item in value.items():
                if not _fits(name, names, ()):
                    raise WrongValueError(
                        key, f"{key} has the key {shown(name)}, need {describe(names)}; correct {key}."
                    )
                self.check(item, items, _join(key, name))
        elif "_target_" in value and not _is_sequence(base):
            self._part(value, key, notes)
        else:
            raise _refusal(value, hint, key)

    def _part(self, value: Mapping[Any, Any], key: str, notes: Notes = ()) -> None:
        target = value["_target_"]
        made = located(target)
        if made is None:
            raise WrongValueError(
                _join(key, "_target_"), f"{key}._target_={shown(target)} names nothing that is there; correct it."
            )
        better = self._more.get(str(target))
        hints = {**hints_of(made), **(hints_of(better) if better else {})}
        self.keys(value, hints, key, names_of(made, _given(notes)), frozenset())

    def _list(self, value: Sequence[Any], base: Any, hint: Any, key: str, notes: Notes) -> None:
        if any(isinstance(note, Length) and not note.holds(value) for note in notes):
            raise _refusal(value, hint, key)
        items = [item for item in typing.get_args(base) if item is not Ellipsis] or [Any]
        if len(items) > 1 and len(items) != len(value):
            raise _refusal(value, hint, key)
        for index, item in enumerate(value):
            self.check(item, items[index % len(items)], f"{key}[{index}]")

    def _inside(self, value: Any, key: str) -> None:
        """Check the parts and numbers inside of what may be anything."""
        if isinstance(value, Mapping):
            if "_target_" in value:
                return self._part(value, key)
            for name, item in value.items():
                self._inside(item, _join(key, name))
        elif _is_list(value):
            for index, item in enumerate(value):
                self._inside(item, f"{key}[{index}]")
        elif isinstance(value, float) and not math.isfinite(value):
            raise _refusal(value, float, key)
        return None


_MAPPINGS = (Mapping, dict)


def _unwrapped(hint: Any) -> tuple[Any, Notes]:
    notes: Notes = ()
    while (origin := typing.get_origin(hint)) in (Annotated, NotRequired):
        base, *more = typing.get_args(hint)
        notes, hint = (*notes, *more), base
        assert origin is not None
    return hint, notes


def _is_plain(base: Any) -> bool:
    return base in (bool, int, float, str, None, type(None), Path) or typing.get_origin(base) is Literal


def _fits(value: Any, base: Any, notes: Notes) -> bool:
    base, own = _unwrapped(base)
    if base is Any:
        return True
    if typing.get_origin(base) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in typing.get_args(base))
    if base in (None, type(None)):
        return value is None
    if base is float:
        right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    elif base is int:
        right = isinstance(value, int) and not isinstance(value, bool)
    else:
        right = isinstance(value, str if base is Path else base)
    return right and all(note.holds(value) for note in (*notes, *own) if isinstance(note, Range))


def _is_reserved(name: str) -> bool:
    return name.startswith("_") and name.endswith("_")  # Hydra's own, e.g. _target_


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _is_missing(value: Any) -> bool:
    return isinstance(value, str) and value == MISSING


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _is_sequence(base: Any) -> bool:
    origin = typing.get_origin(base) or base
    return inspect.isclass(origin) and issubclass(origin, Sequence | frozenset | set) and not issubclass(origin, str)


def _given(notes: Notes) -> frozenset[str]:
    return frozenset[str]().union(*(note.names for note in notes if isinstance(note, Without)))


def _keys_of(notes: Notes) -> KeysOf | None:
    return next((note for note in notes if isinstance(note, KeysOf)), None)


def _refusal(value: Any, hint: Any, key: str) -> WrongValueError:
    return WrongValueError(key, f"{key} must be {describe(hint)}, got {shown(value)}; correct {key}.")
