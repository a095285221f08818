"""Look up the keys that a constructor, a dataclass or a TypedDict takes."""

import functools
import inspect
import pkgutil
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from hrda_lit.config.ranges import KeysOf


class Keys(NamedTuple):
    """The keys that a constructor, a dataclass or a TypedDict takes.

    Attributes:
        hints: annotation of each, as far as known.
        names: all there are; None: any.
        required: those without a default.
    """

    hints: Mapping[str, Any]
    names: frozenset[str] | None
    required: frozenset[str]


@functools.cache
def hints_of(made: Any) -> Mapping[str, Any]:
    """Look up the annotation of each key; none where annotations cannot be resolved."""
    constructor = inspect.isclass(made) and not typing.is_typeddict(made)
    try:
        return typing.get_type_hints(made.__init__ if constructor else made, include_extras=True)
    except (NameError, TypeError):  # annotations of others that name what is imported for type checkers alone
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


def keys_of_group(keys: KeysOf) -> Keys:
    """Join the keys of all classes of a group."""
    several = [keys_of(pkgutil.resolve_name(one) if isinstance(one, str) else one) for one in keys.classes]
    hints = {name: hint for one in several for name, hint in one.hints.items()}
    names = frozenset[str]().union(*(one.names or () for one in several))
    required = frozenset[str]().union(*(one.required for one in several))
    return Keys(hints, None if keys.others else names, required)
