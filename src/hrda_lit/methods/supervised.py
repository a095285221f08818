"""Learning from labels alone, and what any run learns from: its kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.data.mixed import dataset_names
from hrda_lit.methods.base import Batch, Method, Networks, Pass, source_pass
from hrda_lit.methods.masked_consistency import MaskedConsistency, MaskedPass, MaskedPassDraws
from hrda_lit.networks.segmentor import Segmentor


class SupervisedDraws(NamedTuple):
    """Random numbers of the student and of the masked pass; None without one."""

    student: Tensor
    masked: MaskedPassDraws | None


class Supervised(Method):
    """Train on labelled images.

    Args:
        classes: the classes of the labels.
        masked: the masked pass of MIC, on source images or with a teacher of its own; None for none.

    User's document, L^S.
    """

    def __init__(self, classes: Classes, masked: MaskedConsistency | None = None) -> None:
        self.classes = classes
        self.masked = None if masked is None else MaskedPass(masked, classes)
        self.names = ("source",) if self.masked is None else ("source", "masked")
        self.needs_target = self.masked is not None and self.masked.needs_target
        self.needs_teacher = self.masked is not None and self.masked.needs_teacher

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> SupervisedDraws:
        """Draw the random numbers of the student and of the masks."""
        seen = student.draw((shape[-2], shape[-1]), generator)
        return SupervisedDraws(seen, None if self.masked is None else self.masked.draw(student, shape, generator))

    def passes(self, batch: Batch, networks: Networks, drawn: SupervisedDraws) -> Iterator[Pass]:
        """Yield the source pass and, if there is one, the masked pass."""
        yield source_pass(batch, networks.student, drawn.student, self.classes)
        if self.masked is not None and drawn.masked is not None:
            yield self.masked(batch, networks, drawn.masked)


SOURCE_ONLY, GENERALISATION, ADAPTATION, ORACLE = KINDS = ("source-only", "generalisation", "adaptation", "oracle")


def kind_of(method: type[Method], config: Mapping[str, Any]) -> str:
    """Return which of `KINDS` a run is.

    Args:
        method: class of the method.
        config: of the run; its `source` and `val` name the datasets.

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
