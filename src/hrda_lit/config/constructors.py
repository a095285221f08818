"""What a constructor, a dataclass or a TypedDict annotates: its keys and their types."""

import functools
import inspect
import pkgutil
import typing
from collections.abc import Mapping
from typing import Any

Hints = Mapping[str, Any]
Names = frozenset[str] | None


@functools.cache
def hints_of(made: Any) -> Hints:
    """Return the annotation of each key; nothing where they cannot be looked up."""
    asked = made.__init__ if inspect.isclass(made) and not typing.is_typeddict(made) else made
    try:
        hints = typing.get_type_hints(asked, include_extras=True)
    except (NameError, TypeError):  # annotations of others that name what is imported for type checkers alone
        return {}
    return {name: hint for name, hint in hints.items() if name != "return"}


def names_of(made: Any, without: frozenset[str]) -> Names:
    """Return the keys that a config may set, those in `without` left out; None where any may be set."""
    if typing.is_typeddict(made):
        return frozenset(hints_of(made)) - without
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return None
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return None if open_ended else frozenset(parameter.name for parameter in parameters) - without


def required_of(wanted: Any) -> frozenset[str]:
    """Return the keys that must be there; of constructors, which have defaults or ask by themselves, none."""
    return frozenset(wanted.__required_keys__) if typing.is_typeddict(wanted) else frozenset()


def located(target: Any) -> Any:
    """Return what a dotted name names, or None."""
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError, TypeError):
        return None
