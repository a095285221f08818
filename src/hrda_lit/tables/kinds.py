"""What a run learned from: source labels alone, several domains, an unlabelled target, or the labels of the target."""

from collections.abc import Mapping
from typing import Any

from hrda_lit.data.configs import called, names

KINDS = ("source-only", "generalisation", "adaptation", "oracle")


def kind_of(config: Mapping[str, Any]) -> str:
    """Tell what a run learned from.

    Args:
        config: of the run, or of its checkpoint.

    Returns:
        One of `KINDS`: without a target, the oracle is what was trained on all sets that it is scored on.
    """
    method = str(config["method"]["_target_"]).rpartition(".")[2]
    if method not in ("Supervised", "Generalise"):
        return KINDS[2]
    scored = names(config.get("val") or {})
    if scored and scored <= names(config["source"]):
        return KINDS[3]
    return KINDS[0] if method == "Supervised" else KINDS[1]


def facts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tables over runs tell of one: its kind, its seed and its data sets."""
    sets = {role: called(dataset) if (dataset := config.get(role)) else None for role in ("source", "target", "val")}
    return {"kind": kind_of(config), "seed": config["seed"], "data": sets}
