"""Self-training with a mean teacher: DAFormer, HRDA and, with a masked pass, MIC."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.config.ranges import AboveShare, NotNegative
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import (
    Batch,
    Draws,
    Labelled,
    LoggedCrops,
    Method,
    Networks,
    Pass,
    supervise,
    supervise_source,
)
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.colour import StrongAugmentation, augment
from hrda_lit.ops.masks import batch_classes, choose_classes, class_mask, draw_priorities, paste, sample_classes
from hrda_lit.ops.weak_jitter import WeakJitter, weaken


@check_arguments
class SelfTraining(Method):
    """Learn from source labels and from the teacher's pseudo-labels on mixed images.

    With the single-scale network this is DAFormer, with the multi-resolution one HRDA, with `masked` MIC.

    Args:
        classes: classes of the labels.
        labeller: how the teacher labels target crops; None for the defaults of `Labeller`.
        lambda_fd: weight of the feature distance, >= 0; 0 for none.
        augmentation: jitter and blur of mixed images; None for none.
        min_ratio: see `FeatureDistance`.
        masked: the masked pass of MIC; None for none.
        mix_classes_of: whether ClassMix chooses among the classes of the "batch" or of the "sample"
            (docs/official.md 3).
        weak_jitter: colour jitter of the source pass's images and of target images before mixing, whose
            pseudo-labels are made without it; None for none.

    DAFormer section 3.2; user's document, "Final Loss".
    """

    needs_target = True
    needs_teacher = True
    names = ("source", "mixed")

    def __init__(
        self,
        classes: Classes,
        labeller: Labeller | None = None,
        lambda_fd: NotNegative = 0.005,
        augmentation: StrongAugmentation | None = None,
        min_ratio: AboveShare = 0.75,
        masked: MaskedConsistency | None = None,
        mix_classes_of: Literal["batch", "sample"] = "batch",
        weak_jitter: WeakJitter | None = None,
    ) -> None:
        self.classes, self.labeller, self.lambda_fd = classes, labeller or Labeller(), lambda_fd
        self.augmentation, self.mix_classes_of, self.weak_jitter = augmentation, mix_classes_of, weak_jitter
        self.feature_distance = FeatureDistance(classes, min_ratio)
        self.needs_imagenet = lambda_fd > 0
        self.add_masked_pass(masked, self.labeller.tau)

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Draws:
        """Draw the student's randomness, the pasted classes, the augmentation and the masks."""
        count, size = shape[0], (shape[-2], shape[-1])
        drawn = Draws(
            student={name: student.draw(size, generator) for name in self.names},
            priorities=draw_priorities(count, generator),
            augmentation=None if self.augmentation is None else self.augmentation.draw(count, generator),
            masks=None if self.masked is None else self.masked.draw(shape, generator),
        )
        if self.weak_jitter is None:
            return drawn
        source, target = (self.weak_jitter.draw(count, generator) for _ in range(2))
        return drawn._replace(weak_source=source, weak_target=target)

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source, the mixed and, if there is one, the masked pass: label, mix, learn."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        yield self._source(weaken(image, drawn.weak_source), label, networks, drawn)
        target, q = self.label_target(networks.teacher, batch["target"]["image"], batch["target"]["valid"])
        source = Labelled(image, label, torch.ones_like(target.weight))
        jittered = target._replace(image=weaken(target.image, drawn.weak_target))
        yield self._mixed(source, jittered, q, networks.student, drawn)
        if self.masked is not None:
            # official: labels are shared where threshold and momentum are those of the method; here: the same.
            shares = self.masked.teacher and self.masked.tau == self.labeller.tau
            yield self.masked(batch, networks, drawn, self.classes, target if shares else None)

    def _source(self, image: Tensor, label: Tensor, networks: Networks, drawn: Draws) -> Pass:
        outputs = networks.student(image, drawn.source())
        source = supervise_source(outputs, image, label, self.classes)
        return self.feature_distance.add_to(source, self.lambda_fd, networks, outputs)

    def label_target(
        self, teacher: Segmentor | None, image: Float[Tensor, "B 3 H W"], valid: Float[Tensor, "B H W"]
    ) -> tuple[Labelled, Float[Tensor, ""]]:
        """Let the teacher label target crops, weighted 0 outside `valid`; return them and q in [0, 1].

        User's document, p^T and q^T.
        """
        assert teacher is not None
        return self.labeller(teacher, image, valid)

    def _mixed(self, source: Labelled, target: Labelled, q: Tensor, student: Segmentor, drawn: Draws) -> Pass:
        mixed = self.mix(source, target, drawn)
        outputs = student(mixed.image, drawn.student["mixed"])
        loss = supervise(outputs, mixed.label, self.classes, mixed.weight)
        crops = {"target": LoggedCrops(*target), "mixed": LoggedCrops(*mixed, outputs.outputs[-1].box)}
        return Pass("mixed", loss, {"loss/mixed": loss.detach(), "pseudo/q": q}, crops)

    def mix(self, source: Labelled, target: Labelled, drawn: Draws) -> Labelled:
        """Paste half of the source's classes into the target and augment the result.

        Pasted pixels weigh 1, the target's their q. Tensors of `drawn` are on the device of the crops.

        DAFormer section 3.2 (DACS).
        """
        assert drawn.priorities is not None
        if self.mix_classes_of == "sample":
            present = sample_classes(source.label, self.classes.ignore)
        else:
            present = batch_classes(source.label)
        mask = class_mask(source.label, choose_classes(present, drawn.priorities))
        image, label, weight = (paste(mask, ours, theirs) for ours, theirs in zip(source, target, strict=True))
        if drawn.augmentation is not None:
            image = augment(image, drawn.augmentation)
        return Labelled(image, label, weight)
