"""Configs that come from a file hold plain values alone."""

import re
from typing import Any

DEEPEST, MOST = 32, 100_000  # a stored config has 7 levels and some hundred values
REMEDY = "take a checkpoint from a source you trust."
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_DIRECTIVE = re.compile(r"_\w*_")  # what Hydra takes for an order rather than an argument
Place = tuple[str, ...]


def plain_tree(config: object, origin: str) -> dict[str, Any]:
    """Copy a config that a file brought, if it is one that can be written in YAML and says all there is to say.

    Args:
        config: what came.
        origin: what errors call the file.

    Returns:
        Dicts, lists, text, numbers, booleans and None.

    Raises:
        ValueError: if there is anything else inside, an interpolation, an order to Hydra that the library never
            writes, or more than any config holds.
    """
    if type(config) is not dict:
        raise ValueError(f"the config in {origin} is a {type(config).__name__}, need a mapping; {REMEDY}")
    copy: dict[str, Any] = _Copy(origin).of(config, ())
    return copy


def shortened(value: object) -> str:
    """Write a value for a sentence."""
    return repr(value)[:80]


class _Copy:
    """Copy a tree value by value; lists that hold themselves, or that double at each level, run out of values."""

    def __init__(self, origin: str) -> None:
        self.origin, self.left = origin, MOST

    def of(self, value: object, place: Place) -> Any:
        self.left -= 1
        if self.left < 0 or len(place) > DEEPEST:
            raise self._fault(place, f"more than {MOST} values or {DEEPEST} levels")
        # Of these very types, since a class derived from them may carry more than what it shows.
        if type(value) is dict:
            return {self._key(key, place): self._entry(key, item, place) for key, item in value.items()}
        if type(value) is list:
            return [self.of(item, (*place, str(index))) for index, item in enumerate(value)]
        if type(value) is str:
            return self._text(value, place)
        if value is not None and type(value) not in (bool, int, float):
            raise self._fault(place, f"a {type(value).__name__}, which is no value of a config")
        return value

    def _key(self, key: object, place: Place) -> str | int:
        if type(key) is int:
            return key
        if type(key) is not str:
            raise self._fault(place, f"a key that is a {type(key).__name__}")
        if _DIRECTIVE.fullmatch(key) and key not in ("_target_", "_partial_"):
            raise self._fault(place, f"the key {key!r}, which the library never writes")
        return self._text(key, place)

    def _entry(self, key: object, value: object, place: Place) -> Any:
        if (key == "_target_" and type(value) is not str) or (key == "_partial_" and type(value) is not bool):
            raise self._fault(place, f"the {key} {shortened(value)}")
        return self.of(value, (*place, str(key)))

    def _text(self, text: str, place: Place) -> str:
        if "${" in text:
            raise self._fault(place, f"the interpolation {shortened(text)}, where stored configs are resolved")
        if _CONTROL.search(text):
            raise self._fault(place, f"control characters in {shortened(text)}")
        return text

    def _fault(self, place: Place, what: str) -> ValueError:
        where = repr(".".join(place)[:100])[1:-1] or "its root"
        return ValueError(f"the config in {self.origin} has {what} at {where}; {REMEDY}")
