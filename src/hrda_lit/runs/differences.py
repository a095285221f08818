"""What a resumed run changes in its config."""

from collections.abc import Mapping
from typing import Any

from hrda_lit.system.text import shorten

# What these say is built into the weights and the moments of the optimiser.
FIXED = ("network", "s_T")
FREE = {"network.segmentor.lambda_d", "network.backbone.weights"}
# Places, not what is computed.
PLACES = {"run_dir", "resume", "prepare_data", "data_root", "cache_dir", "kind"}
_ABSENT = "(none)"
MOST = 5  # changes that an error lists


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare two configs, apart from places: by dotted key, the value before and now."""
    old, new = flatten(_without_places(before)), flatten(_without_places(now))
    keys = [key for key in {**new, **old} if key not in PLACES and not key.startswith("prepare_data.")]
    pairs = {key: (old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def refuse_fixed(changed: Mapping[str, tuple[Any, Any]], path: object) -> None:
    """Refuse changes, as `differences` finds them, that the state of a run does not allow."""
    fixed = [key for key in changed if _is_fixed(key)]
    if fixed:
        first = format_changes({key: changed[key] for key in fixed[:MOST]})
        more = f" and {len(fixed) - MOST} more" if len(fixed) > MOST else ""
        raise ValueError(
            f"{path} cannot be resumed with {first}{more}, because its weights were made for the former; keep that, "
            "or start a new run."
        )


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a config by their keys as on the command line, e.g. "optim.lr"."""
    if not isinstance(node, Mapping) or not node:
        return {prefix: list(node) if isinstance(node, tuple) else node}
    values: dict[str, Any] = {}
    for name, inner in node.items():
        values |= flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    return values


def format_changes(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Write changes as a part of a sentence, e.g. "optim.lr 0.1 -> 0.2"."""
    return ", ".join(f"{key} {shorten(old)} -> {shorten(new)}" for key, (old, new) in changed.items())


def _is_fixed(key: str) -> bool:
    root, _, rest = key.partition(".")
    if key in FREE:
        return False
    # Also of one of several datasets, e.g. source.sets.game.classes.names.
    classes = root in ("source", "target", "val") and {"classes", "things", "palette"} & {*rest.split(".")}
    return root in FIXED or bool(classes) or (root == "method" and ("_target_" in rest or rest == "masked"))


def _without_places(config: Mapping[str, Any]) -> Any:
    places = {name: str(config[name]) for name in ("run_dir", "cache_dir", "data_root") if config.get(name)}
    # The longest first: the data may lie in the cache.
    order = sorted(places, key=lambda name: len(places[name]), reverse=True)

    def replace(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {key: replace(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [replace(value) for value in node]
        for name in order if isinstance(node, str) else ():
            if node == places[name] or node.startswith(places[name] + "/"):
                return f"<{name}>{node.removeprefix(places[name])}"
        return node

    return replace(config)
