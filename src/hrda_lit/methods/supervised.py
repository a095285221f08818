"""Supervised training, and the kind of a run: source-only, generalisation, adaptation or oracle."""

from collections.abc import Iterator, Mapping
from typing import Any

from hrda_lit.data.classes import Classes
from hrda_lit.data.mixed import dataset_names
from hrda_lit.methods.base import Batch, Draws, Method, Networks, Pass, source_pass
from hrda_lit.methods.masked_consistency import MaskedConsistency


class Supervised(Method):
    """Train on labelled images.

    Args:
        classes: classes of the labels.
        masked: the masked pass of MIC, on source images or with a teacher of its own; None for none.

    User's document, L^S.
    """

    names = ("source",)

    def __init__(self, classes: Classes, masked: MaskedConsistency | None = None) -> None:
        self.classes = classes
        self.add_masked_pass(masked)

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source pass and, if there is one, the masked pass."""
        yield source_pass(batch, networks.student, drawn.source(), self.classes)
        if self.masked is not None:
            yield self.masked(batch, networks, drawn, self.classes)


SOURCE_ONLY, GENERALISATION, ADAPTATION, ORACLE = KINDS = ("source-only", "generalisation", "adaptation", "oracle")


def kind_of(method: type[Method], config: Mapping[str, Any]) -> str:
    """Return which of `KINDS` a run is.

    Args:
        method: class of the method.
        config: config of the run; its `source` and `val` name the datasets.

    Returns:
        Adaptation with a target; without one the oracle if all validation datasets are trained on,
        source-only for plain supervision, and generalisation for any other method.
    """
    if method.needs_target:
        return ADAPTATION
    scored = dataset_names(config.get("val") or {})
    if scored and scored <= dataset_names(config["source"]):
        return ORACLE
    return SOURCE_ONLY if method is Supervised else GENERALISATION
