"""What a run learns from, asked of its method and its datasets."""

from collections.abc import Mapping
from typing import Any

from hrda_lit.data.configs import names
from hrda_lit.methods.base import Method
from hrda_lit.methods.supervised import Supervised

SOURCE_ONLY, GENERALISATION, ADAPTATION, ORACLE = KINDS = ("source-only", "generalisation", "adaptation", "oracle")


def kind_of(method: type[Method], config: Mapping[str, Any]) -> str:
    """Return which of `KINDS` a run is.

    Args:
        method: class of the method.
        config: of the run; its `source` and `val` name the datasets.

    Returns:
        Adaptation with a target; without one the oracle if all validation datasets are trained on, source-only for
        plain supervision, and generalisation for any other method.
    """
    if method.needs_target:
        return ADAPTATION
    scored = names(config.get("val") or {})
    if scored and scored <= names(config["source"]):
        return ORACLE
    return SOURCE_ONLY if method is Supervised else GENERALISATION
