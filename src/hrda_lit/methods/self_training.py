"""Self-training with a mean teacher: DAFormer, HRDA and, with a masked pass, MIC."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hrda_lit.config.ranges import AboveShare, NotNegative, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Labelled, LoggedCrops, Method, Networks, Pass, on_source, supervise
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency, MaskedPass, MaskedPassDraws
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.colour import Augmentation, StrongAugmentation, augment
from hrda_lit.ops.masks import batch_classes, choose_classes, class_mask, draw_priorities, paste, sample_classes
from hrda_lit.ops.weak_jitter import WeakDraws, WeakJitter, weaken


class SelfTrainingDraws(NamedTuple):
    """Everything random of a step.

    Attributes:
        student: what the student leaves to chance, by the name of the pass.
        priorities: which classes are pasted, see `draw_priorities`.
        augmentation: of the mixed images; None for none.
        masked: of the masked pass; None without one.
        weak_source: weak jitter of the source pass's images; None for none.
        weak_target: weak jitter of target images before they are mixed; None for none.
    """

    student: dict[str, Tensor]
    priorities: Int[Tensor, "B 256"]
    augmentation: Augmentation | None
    masked: MaskedPassDraws | None
    weak_source: WeakDraws | None = None
    weak_target: WeakDraws | None = None


@check_arguments
class SelfTraining(Method):
    """Learn from source labels and from the teacher's pseudo-labels on mixed images.

    With the single-scale network this is DAFormer, with the multi-resolution one HRDA, with `masked` MIC.

    Args:
        classes: the classes of the labels.
        tau: confidence threshold of the pseudo-labels in [0, 1].
        lambda_fd: weight of the feature distance, >= 0; 0 leaves it out.
        augmentation: jitter and blur of mixed images; None for none.
        min_ratio: see `FeatureDistance`.
        masked: the masked pass of MIC; None for none.
        q_of: whether q is the share of confident pixels of the "batch", as in the released code, or of each
            "image", as in the papers (docs/official.md 2).
        mix_classes_of: whether ClassMix chooses among the classes of the "batch" or of the "sample"
            (docs/official.md 3).
        mirror: whether pseudo-labels are made from the softmax averaged over each crop and its mirror image.
        weak_jitter: colour jitter of the source pass's images and of target images before mixing, whose
            pseudo-labels are made without it; None for none.

    Raises:
        ValueError: if tau or lambda_fd is out of range.

    DAFormer section 3.2; user's document, "Final Loss".
    """

    needs_target = True
    needs_teacher = True

    def __init__(
        self,
        classes: Classes,
        tau: Share = 0.968,
        lambda_fd: NotNegative = 0.005,
        augmentation: StrongAugmentation | None = None,
        min_ratio: AboveShare = 0.75,
        masked: MaskedConsistency | None = None,
        q_of: Literal["batch", "image"] = "batch",
        mix_classes_of: Literal["batch", "sample"] = "batch",
        mirror: bool = False,
        weak_jitter: WeakJitter | None = None,
    ) -> None:
        self.classes, self.tau, self.lambda_fd = classes, tau, lambda_fd
        self.augmentation, self.mix_classes_of, self.weak_jitter = augmentation, mix_classes_of, weak_jitter
        self.feature_distance = FeatureDistance(classes, min_ratio)
        self.needs_imagenet = lambda_fd > 0
        self.labeller = Labeller(tau, q_of == "image", mirror)
        self.masked = None if masked is None else MaskedPass(masked, classes, tau)
        self.names = ("source", "mixed") if masked is None else ("source", "mixed", "masked")

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> SelfTrainingDraws:
        """Draw where the student looks, which classes are pasted, and how images are augmented and masked."""
        size = (shape[-2], shape[-1])
        students = {name: student.draw(size, generator) for name in self.names}
        priorities = draw_priorities(shape[0], generator)
        augmentation = None if self.augmentation is None else self.augmentation.draw(shape[0], generator)
        masked = None
        if self.masked is not None:
            masked = MaskedPassDraws(students["masked"], self.masked.options.draw(shape, generator))
        weak = [] if self.weak_jitter is None else [self.weak_jitter.draw(shape[0], generator) for _ in range(2)]
        return SelfTrainingDraws(students, priorities, augmentation, masked, *weak)

    def passes(self, batch: Batch, networks: Networks, drawn: SelfTrainingDraws) -> Iterator[Pass]:
        """Yield the source, the mixed and perhaps the masked pass: label, mix, learn."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        yield self._source(weaken(image, drawn.weak_source), label, networks, drawn)
        target, q = self.label_target(networks.teacher, batch["target"]["image"], batch["target"]["valid"])
        source = Labelled(image, label, torch.ones_like(target.weight))
        seen = target._replace(image=weaken(target.image, drawn.weak_target))
        yield self._mixed(source, seen, q, networks.student, drawn)
        if self.masked is not None and drawn.masked is not None:
            shared = target if self.masked.shares_labels else None
            yield self.masked(batch, networks, drawn.masked, shared)

    def _source(self, image: Tensor, label: Tensor, networks: Networks, drawn: SelfTrainingDraws) -> Pass:
        outputs = networks.student(image, drawn.student["source"])
        done = on_source(outputs, image, label, self.classes)
        return self.feature_distance.add_to(done, self.lambda_fd, networks, outputs)

    def label_target(
        self, teacher: Segmentor | None, image: Float[Tensor, "B 3 H W"], valid: Float[Tensor, "B H W"]
    ) -> tuple[Labelled, Float[Tensor, ""]]:
        """Let the teacher label target crops, weighted 0 outside `valid`; return them and q in [0, 1].

        User's document, p^T and q^T.
        """
        assert teacher is not None
        return self.labeller(teacher, image, valid)

    def _mixed(
        self, source: Labelled, target: Labelled, q: Tensor, student: Segmentor, drawn: SelfTrainingDraws
    ) -> Pass:
        mixed = self.mix(source, target, drawn)
        outputs = student(mixed.image, drawn.student["mixed"])
        loss = supervise(outputs, mixed.label, self.classes, mixed.weight)
        crops = {"target": LoggedCrops(*target), "mixed": LoggedCrops(*mixed, outputs.outputs[-1].spot)}
        return Pass("mixed", loss, {"loss/mixed": loss.detach(), "pseudo/q": q}, crops)

    def mix(self, source: Labelled, target: Labelled, drawn: SelfTrainingDraws) -> Labelled:
        """Paste half of the source's classes into the target and augment the result.

        Pasted pixels weigh 1, the target's their q. Tensors of `drawn` are on the device of the crops.

        DAFormer section 3.2 (DACS).
        """
        sampled = self.mix_classes_of == "sample"
        present = sample_classes(source.label, self.classes.ignore) if sampled else batch_classes(source.label)
        mask = class_mask(source.label, choose_classes(present, drawn.priorities))
        image = paste(mask, source.image, target.image)
        if drawn.augmentation is not None:
            image = augment(image, drawn.augmentation)
        return Labelled(image, paste(mask, source.label, target.label), paste(mask, source.weight, target.weight))
