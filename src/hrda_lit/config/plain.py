"""Configs that come from a file hold plain values alone."""

from typing import Any

DEEPEST, MOST = 32, 100_000  # a stored config has 7 levels and some hundred values
REMEDY = "take a checkpoint from a source you trust."
Place = tuple[str, ...]


def plain_tree(config: object, origin: str) -> dict[str, Any]:
    """Copy a config that a file brought, if it is one that can be written in YAML.

    Args:
        config: what came.
        origin: what errors call the file.

    Returns:
        Dicts, lists, text, numbers, booleans and None.

    Raises:
        ValueError: if there is anything else inside, or more than any config holds.
    """
    if type(config) is not dict:
        raise ValueError(f"the config in {origin} is a {type(config).__name__}, need a mapping; {REMEDY}")
    copy: dict[str, Any] = _Copy(origin).of(config, ())
    return copy


def fault_at(place: Place, what: str, origin: str) -> ValueError:
    """Return the error that says what is wrong at a place of a config."""
    where = repr(".".join(place)[:100])[1:-1] or "its root"
    return ValueError(f"the config in {origin} has {what} at {where}; {REMEDY}")


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
            raise fault_at(place, f"more than {MOST} values or {DEEPEST} levels", self.origin)
        # Of these very types, since a class derived from them may carry more than what it shows.
        if type(value) is dict:
            return {self._key(key, place): self.of(item, (*place, str(key))) for key, item in value.items()}
        if type(value) is list:
            return [self.of(item, (*place, str(index))) for index, item in enumerate(value)]
        if value is not None and type(value) not in (bool, int, float, str):
            raise fault_at(place, f"a {type(value).__name__}, which is no value of a config", self.origin)
        return value

    def _key(self, key: object, place: Place) -> object:
        if type(key) not in (str, int):
            raise fault_at(place, f"a key that is a {type(key).__name__}", self.origin)
        return key
