"""Check configs from files: plain values that name only the library's own parts and decide a list of keys."""

import copy
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hrda_lit.system.text import shorten

DEEPEST, MOST = 32, 100_000  # a stored config has 7 levels and some hundred values
PLAIN = (dict, list, str, bool, int, float, type(None))
REMEDY = "take a checkpoint from a source you trust."
Place = tuple[str, ...]
TRUST = "HRDA_LIT_TRUST"  # names, separated by commas, that a user allows in addition to those below

_ONE_SET = {"hrda_lit.data.folder.FolderDataset"}
_DATA = _ONE_SET | {"hrda_lit.data.mixed.MixedDatasets"}
_WINDOWS = {"hrda_lit.inference.windows.Slide", "hrda_lit.inference.windows.Whole"}
# Where in a config what may be built. To build one of these has no effect but the object itself.
BUILDABLE: dict[str, set[str]] = {
    "source": _DATA,
    "target": _DATA,
    "val": _DATA,
    **{f"{role}.sets.*": _ONE_SET for role in ("source", "target", "val")},
    "network.backbone": {"hrda_lit.networks.backbone.Backbone"},
    "network.head": {
        "hrda_lit.networks.heads.DAFormerHead",
        "hrda_lit.networks.heads.SegFormerHead",
        "hrda_lit.networks.heads.DeepLabV2Head",
        "hrda_lit.networks.heads.LinearHead",
        "hrda_lit.networks.upsample_head.UpsampleHead",
    },
    "network.attention": {"hrda_lit.networks.heads.ScaleAttentionHead", "hrda_lit.networks.heads.DeepLabV2Head"},
    "network.segmentor": {
        "hrda_lit.networks.multires.MultiResSegmentor",
        "hrda_lit.networks.segmentor.SingleScaleSegmentor",
    },
    "method": {
        "hrda_lit.methods.self_training.SelfTraining",
        "hrda_lit.methods.supervised.Supervised",
        "hrda_lit.methods.minent.MinEnt",
        "hrda_lit.methods.adversarial.Adversarial",
        "hrda_lit.methods.generalise.Generalise",
    },
    "method.optim": {"hrda_lit.optim.AdamPoly"},
    "method.labeller": {"hrda_lit.methods.labelling.Labeller"},
    "method.weak_jitter": {"hrda_lit.ops.weak_jitter.WeakJitter"},
    "method.augmentation": {"hrda_lit.ops.colour.StrongAugmentation"},
    "method.masked": {"hrda_lit.methods.masked_consistency.MaskedConsistency"},
    "method.masked.augmentation": {"hrda_lit.ops.colour.StrongAugmentation"},
    "optim": {"hrda_lit.optim.AdamWPoly", "hrda_lit.optim.AdamWLinear", "hrda_lit.optim.SGDPoly"},
    "inference": _WINDOWS | {"hrda_lit.inference.augmented.Augmented"},
    "inference.base": _WINDOWS,
}
# What a stored config decides where its network is used: the network, its classes, how it predicts, and the images
# it learned from. It never decides caches, folders that are written, workers, devices, callbacks or loggers.
DECIDES = (
    "name", "kind", "validate", "seed", "lambda_d", "tau", "s_T", "alpha", "lambda_fd", "network", "method", "optim",
    "inference", "source", "target", "val", "splits", "data", "data_root", "loading.batch_size", "loading.accumulate",
)  # fmt: skip
# What only training builds, always from its own command line, may name any class of these two packages.
TRAINING = ("prepare_data", "trainer", "callbacks", "logger")
_TRAINING_PACKAGES = ("hrda_lit.", "lightning.")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_DIRECTIVE = re.compile(r"_\w*_")  # what Hydra takes for an order rather than an argument


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
    for count, (place, node) in enumerate(_nodes(config, ())):
        # Lists that hold themselves, or that double at each level, run out of levels or values.
        if count >= MOST or len(place) > DEEPEST:
            raise _fault_at(place, f"more than {MOST} values or {DEEPEST} levels", origin)
        # Of these very types, since a class derived from them may carry more than what it shows.
        if type(node) not in PLAIN:
            raise _fault_at(place, f"a {type(node).__name__}, which a config cannot hold", origin)
        for key in node if isinstance(node, dict) else ():
            if type(key) not in (str, int):
                raise _fault_at(place, f"a key that is a {type(key).__name__}", origin)
    return copy.deepcopy(config)


def trusted_part(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the keys of `DECIDES`, the only ones that a foreign config may decide."""
    part: dict[str, Any] = {}
    for key in DECIDES:
        group, _, name = key.partition(".")
        if not name and group in tree:
            part[group] = copy.deepcopy(tree[group])
        elif isinstance(tree.get(group), dict) and name in tree[group]:
            part.setdefault(group, {})[name] = tree[group][name]
    return part


def require_buildable(tree: dict[str, Any], origin: str) -> None:
    """Refuse a config from the file `origin` that names anything but the library's parts in their places.

    Raises:
        ValueError: if it does, or has an interpolation, an order to Hydra that the library never writes, or
            control characters; names that the environment variable HRDA_LIT_TRUST lists are allowed.
    """
    for place, node in _nodes(tree, ()):
        if isinstance(node, dict):
            _check_orders(node, place, origin)
        _check_texts(node if isinstance(node, dict) else [node], place, origin)


def _check_orders(node: dict[str, Any], place: Place, origin: str) -> None:
    for key in node:
        if isinstance(key, str) and _DIRECTIVE.fullmatch(key) and key not in ("_target_", "_partial_"):
            raise _fault_at(place, f"the key {key!r}, which the library never writes", origin)
    name, partial = node.get("_target_", ""), node.get("_partial_", False)
    if not isinstance(name, str) or not isinstance(partial, bool):
        what = f"the _target_ {shorten(repr(name))} with the _partial_ {shorten(repr(partial))}"
        raise _fault_at(place, what, origin)
    own = [text.strip() for text in os.environ.get(TRUST, "").split(",")]
    if "_target_" in node and (not name or name not in own) and not _belongs(name, place):
        raise ValueError(
            f"the config in {origin} would build {shorten(repr(name))} as {'.'.join(place) or 'its root'}, which is no "
            f"part of this library that belongs there; {REMEDY[:-1]}, or allow your own code by {TRUST}=<its name>."
        )


def _check_texts(values: Iterable[Any], place: Place, origin: str) -> None:
    for text in values:
        if not isinstance(text, str):
            continue
        if "${" in text:
            what = f"the interpolation {shorten(repr(text))}, where stored configs are resolved"
            raise _fault_at(place, what, origin)
        if _CONTROL.search(text):
            raise _fault_at(place, f"control characters in {shorten(repr(text))}", origin)


def require_keys(tree: dict[str, Any], needed: Mapping[str, tuple[type, ...]], origin: str) -> None:
    """Raise ValueError if a config from a file lacks a needed key (a.b) or has another type there."""
    for key, types in needed.items():
        node: Any = tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if type(node) not in types or node == "???":
            raise ValueError(
                f"the config in {origin} has {shorten(repr(node))} for {key}, need a {types[0].__name__}; "
                "give a checkpoint as it was written."
            )


def _belongs(name: str, place: Place) -> bool:
    if place and place[0] in TRAINING:
        return name.startswith(_TRAINING_PACKAGES)
    return any(name in BUILDABLE.get(".".join(where), ()) for where in (place, (*place[:-1], "*")))


def _nodes(node: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    yield place, node
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield from _nodes(value, (*place, str(key)))


def _fault_at(place: Place, what: str, origin: str) -> ValueError:
    return ValueError(f"the config in {origin} has {what} at {shorten('.'.join(place)) or 'its root'}; {REMEDY}")
