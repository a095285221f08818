"""Configs that come from a file: plain values alone, and names of nothing but the library's own parts."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

TRUST = "HRDA_LIT_TRUST"  # names, separated by commas, that a user allows beside those below
DEEPEST, MOST = 32, 100_000  # a stored config has 7 levels and some hundred values

_DATA = {"hrda_lit.data.folder.FolderDataset"}
_WINDOWS = {"hrda_lit.inference.windows.Slide", "hrda_lit.inference.windows.Whole"}
# Where in a config what may be built. To build one of these has no effect but the object itself.
BUILDABLE: dict[str, set[str]] = {
    "source": _DATA,
    "target": _DATA,
    "val": _DATA,
    "network.backbone": {"hrda_lit.networks.backbone.Backbone"},
    "network.head": {"hrda_lit.networks.heads.DAFormerHead"},
    "network.attention": {"hrda_lit.networks.heads.ScaleAttentionHead"},
    "network.segmentor": {
        "hrda_lit.networks.multires.MultiResSegmentor",
        "hrda_lit.networks.segmentor.SingleScaleSegmentor",
    },
    "method": {"hrda_lit.methods.self_training.SelfTraining", "hrda_lit.methods.supervised.Supervised"},
    "method.augmentation": {"hrda_lit.ops.colour.StrongAugmentation"},
    "method.masked": {"hrda_lit.methods.masked_consistency.MaskedConsistency"},
    "optim": {"hrda_lit.optim.AdamWPoly"},
    "inference": _WINDOWS | {"hrda_lit.inference.augmented.Augmented"},
    "inference.base": _WINDOWS,
}
# What training alone builds, always from its own command line, may name any class of these two packages.
TRAINING = ("prepare", "trainer", "callbacks", "logger")
_TRAINING_PACKAGES = ("hrda_lit.", "lightning.")
# Where the classes of older checkpoints lie today.
MOVED = {
    "hrda_lit.networks.inference.Slide": "hrda_lit.inference.windows.Slide",
    "hrda_lit.networks.inference.Whole": "hrda_lit.inference.windows.Whole",
    "hrda_lit.networks.augmentation.Augmented": "hrda_lit.inference.augmented.Augmented",
    "hrda_lit.data.demo.render_demo": "hrda_lit.demo.render_demo",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_DIRECTIVE = re.compile(r"_\w*_")  # what Hydra takes for an order rather than an argument
Place = tuple[str, ...]


def plain_tree(config: object, origin: str) -> dict[str, Any]:
    """Copy a config that a file brought, if it is one that can be written in YAML and says all there is to say.

    Args:
        config: what came.
        origin: what errors call the file.

    Returns:
        Dicts, lists, text, numbers, booleans and None; classes that have moved under their names of today.

    Raises:
        ValueError: if there is anything else inside, an interpolation, an order to Hydra that the library never
            writes, or more than any config holds.
    """
    if type(config) is not dict:
        raise ValueError(f"the config in {origin} is a {type(config).__name__}, need a mapping; {_REMEDY}")
    copy: dict[str, Any] = _Copy(origin).of(config, ())
    return copy


def require_buildable(tree: dict[str, Any], origin: str) -> None:
    """Refuse a config from a file that names anything but the library's own parts, each in its place.

    Args:
        tree: from `plain_tree`.
        origin: what errors call the file.

    Raises:
        ValueError: if it does; names that the environment variable HRDA_LIT_TRUST lists are allowed.
    """
    trusted = {name.strip() for name in os.environ.get(TRUST, "").split(",")}
    for place, name in _targets(tree, ()):
        if name not in trusted and not _belongs(name, place):
            raise ValueError(
                f"the config in {origin} would build {name!r} as {'.'.join(place) or 'its root'}, which is no part of "
                f"this library that belongs there; {_REMEDY} Code of your own you allow with {TRUST}=<its full name>."
            )


def require_keys(tree: dict[str, Any], wanted: Mapping[str, tuple[type, ...]], origin: str) -> None:
    """Refuse a config from a file that lacks a key, or has another kind of value there.

    Args:
        tree: from `plain_tree`.
        wanted: the types that may stand at each key, dots between levels.
        origin: what errors call the file.

    Raises:
        ValueError: if a key is missing or of another type.
    """
    for key, types in wanted.items():
        node: Any = tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if type(node) not in types or node == "???":
            raise ValueError(
                f"the config in {origin} has {_short(node)} for {key}, need a {types[0].__name__}; give a checkpoint "
                "as it was written."
            )


_REMEDY = "take a checkpoint from a source you trust."


def _belongs(name: str, place: Place) -> bool:
    if place and place[0] in TRAINING:
        return name.startswith(_TRAINING_PACKAGES)
    return name in BUILDABLE.get(".".join(place), ())


def _targets(node: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield place, node["_target_"]
        for key, value in node.items():
            yield from _targets(value, (*place, str(key)))
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, (*place, str(index)))


class _Copy:
    """Copy a tree value by value; lists that hold themselves, or that double at each level, run out of values."""

    def __init__(self, origin: str) -> None:
        self.origin, self.left = origin, MOST

    def of(self, value: object, place: Place) -> Any:
        self.left -= 1
        if self.left < 0 or len(place) > DEEPEST:
            self._refuse(place, f"more than {MOST} values or {DEEPEST} levels")
        # Of these very types, since a class derived from them may carry more than what it shows.
        if type(value) is dict:
            return {self._key(key, place): self._entry(key, item, place) for key, item in value.items()}
        if type(value) is list:
            return [self.of(item, (*place, str(index))) for index, item in enumerate(value)]
        if type(value) is str:
            return self._text(value, place)
        if value is None or type(value) in (bool, int, float):
            return value
        self._refuse(place, f"a {type(value).__name__}, which is no value of a config")

    def _key(self, key: object, place: Place) -> str | int:
        if type(key) not in (str, int):
            self._refuse(place, f"a key that is a {type(key).__name__}")
        if isinstance(key, str) and _DIRECTIVE.fullmatch(key) and key not in ("_target_", "_partial_"):
            self._refuse(place, f"the key {key!r}, which the library never writes")
        return self._text(key, place) if isinstance(key, str) else key  # type: ignore[return-value]

    def _entry(self, key: object, value: object, place: Place) -> Any:
        if (key == "_target_" and type(value) is not str) or (key == "_partial_" and type(value) is not bool):
            self._refuse(place, f"the {key} {_short(value)}")
        copy = self.of(value, (*place, str(key)))
        return MOVED.get(copy, copy) if key == "_target_" else copy

    def _text(self, text: str, place: Place) -> str:
        if "${" in text:
            self._refuse(place, f"the interpolation {_short(text)}, where stored configs are resolved")
        if _CONTROL.search(text):
            self._refuse(place, f"control characters in {_short(text)}")
        return text

    def _refuse(self, place: Place, what: str) -> NoReturn:
        raise ValueError(f"the config in {self.origin} has {what} at {'.'.join(place)[:100] or 'its root'}; {_REMEDY}")


def _short(value: object) -> str:
    return repr(value)[:80]
