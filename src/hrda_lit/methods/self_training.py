"""Self-training with a mean teacher: DAFormer, HRDA and, with a masked pass, MIC."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hrda_lit.config.ranges import AboveShare, NotNegative, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.inference.augmented import Augmented
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.base import Batch, Labelled, LoggedCrops, Method, Networks, Pass, on_source, supervise
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.methods.masked_consistency import MaskDraws, MaskedConsistency, visible
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.classmix import batch_classes, choose_classes, class_mask, draw_priorities, paste, sample_classes
from hrda_lit.ops.colour import Augmentation, StrongAugmentation, augment
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map
from hrda_lit.ops.weak_jitter import WeakDraws, WeakJitter, weaken


class Draws(NamedTuple):
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
    masked: MaskDraws | None
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
        q_of: whether q is the share of confident pixels of the "batch", as in the released code, or of each "image", as
            in the papers (docs/official.md 2).
        mix_classes_of: whether ClassMix chooses among the classes of the "batch" or of the "sample" (docs/official.md
            3).
        mirror: whether pseudo-labels are made from the softmax averaged over each crop and its mirror image.
        weak_jitter: colour jitter of the source pass's images and of target images before mixing, whose pseudo-labels
            are made without it; None for none.

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
        self.augmentation, self.masked = augmentation, masked
        self.q_of, self.mix_classes_of = q_of, mix_classes_of
        self.weak_jitter, self.mirrored = weak_jitter, Augmented((1, 1), Whole()) if mirror else None
        self.feature_distance = FeatureDistance(classes, min_ratio)
        self.needs_imagenet = lambda_fd > 0
        self._mode: LabellingMode | None = None
        self.names = ("source", "mixed") if masked is None else ("source", "mixed", "masked")

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Draws:
        """Draw where the student looks, which classes are pasted, and how images are augmented and masked."""
        size = (shape[-2], shape[-1])
        return Draws(
            {name: student.draw(size, generator) for name in self.names},
            draw_priorities(shape[0], generator),
            None if self.augmentation is None else self.augmentation.draw(shape[0], generator),
            None if self.masked is None else self.masked.draw(shape, self.augmentation, generator),
            *([] if self.weak_jitter is None else [self.weak_jitter.draw(shape[0], generator) for _ in range(2)]),
        )

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source, the mixed and perhaps the masked pass: label, mix, learn."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        yield self._source(weaken(image, drawn.weak_source), label, networks, drawn)
        target, q = self.label_target(networks.teacher, batch["target"]["image"], batch["target"]["valid"])
        source = Labelled(image, label, torch.ones_like(target.weight))
        seen = target._replace(image=weaken(target.image, drawn.weak_target))
        yield self._mixed(source, seen, q, networks.student, drawn)
        if self.masked is not None and drawn.masked is not None:
            yield self._masked(self.masked, self.masked.prepare(source, target, drawn.masked), networks.student, drawn)

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if blocks of the masked pass are larger than a crop."""
        if self.masked is not None and self.masked.block > min(size):
            raise ValueError(
                f"method.masked.block={self.masked.block} is larger than a crop of {size}, which it would hide as a "
                "whole; lower it or raise data.crop."
            )

    def _source(self, image: Tensor, label: Tensor, networks: Networks, drawn: Draws) -> Pass:
        outputs = networks.student(image, drawn.student["source"])
        done = on_source(outputs, image, label, self.classes)
        return self.feature_distance.added(done, self.lambda_fd, networks, outputs) if self.lambda_fd > 0 else done

    @torch.no_grad()
    def label_target(
        self, teacher: Segmentor | None, image: Float[Tensor, "B 3 H W"], valid: Float[Tensor, "B H W"]
    ) -> tuple[Labelled, Float[Tensor, ""]]:
        """Let the teacher label whole target crops.

        Args:
            teacher: the moving average of the student.
            image: target crops.
            valid: 1 where pseudo-labels may be trusted.

        Returns:
            The labelled crops and q in [0, 1].

        User's document, p^T and q^T.
        """
        assert teacher is not None
        if self._mode is None or self._mode.teacher is not teacher:
            self._mode = LabellingMode(teacher)
        self._mode.enter()
        mirrored = self.mirrored
        logits = teacher.views(image)["fused"] if mirrored is None else mirrored(teacher, image)
        size = (image.shape[-2], image.shape[-1])
        labels = pseudo_labels(logits, self.tau, size, self.q_of == "image")
        return Labelled(image, labels.label, weight_map(labels.q, valid)), labels.q.mean()

    def _mixed(self, source: Labelled, target: Labelled, q: Tensor, student: Segmentor, drawn: Draws) -> Pass:
        mixed = self.mix(source, target, drawn)
        outputs = student(mixed.image, drawn.student["mixed"])
        loss = supervise(outputs, mixed.label, self.classes, mixed.weight)
        crops = {"target": LoggedCrops(*target), "mixed": LoggedCrops(*mixed, outputs.outputs[-1].spot)}
        return Pass("mixed", loss, {"loss/mixed": loss.detach(), "pseudo/q": q}, crops)

    def _masked(self, masked: MaskedConsistency, hidden: Labelled, student: Segmentor, drawn: Draws) -> Pass:
        outputs = student(hidden.image, drawn.student["masked"])
        loss = supervise(outputs, hidden.label, self.classes, hidden.weight)
        shown = hidden._replace(image=visible(hidden.image))
        crops = {"masked": LoggedCrops(*shown, outputs.outputs[-1].spot)}
        return Pass("masked", masked.weight * loss, {"loss/masked": loss.detach()}, crops)

    def mix(self, source: Labelled, target: Labelled, drawn: Draws) -> Labelled:
        """Paste half of the source's classes into the target and augment the result.

        Pasted pixels weigh 1, the target's their q.

        Args:
            source: labelled source crops.
            target: pseudo-labelled target crops.
            drawn: of `draw`, on the device of the crops.

        Returns:
            Mixed crops.

        DAFormer section 3.2 (DACS).
        """
        sampled = self.mix_classes_of == "sample"
        present = sample_classes(source.label, self.classes.ignore) if sampled else batch_classes(source.label)
        mask = class_mask(source.label, choose_classes(present, drawn.priorities))
        image = paste(mask, source.image, target.image)
        if drawn.augmentation is not None:
            image = augment(image, drawn.augmentation)
        return Labelled(image, paste(mask, source.label, target.label), paste(mask, source.weight, target.weight))


def batch_statistics_mode(teacher: Segmentor) -> Segmentor:
    """Put a teacher into the mode it labels in, see `LabellingMode`; returns it."""
    LabellingMode(teacher).enter()
    return teacher


class LabellingMode:
    """The mode a teacher labels in: BatchNorm on batch statistics, everything else as in inference.

    A frozen encoder stays as it is.

    official: the same, though the paper calls it inference (docs/official.md 11).

    Args:
        teacher: looked through once, since a step has no time to.
    """

    def __init__(self, teacher: Segmentor) -> None:
        self.teacher = teacher
        self._modules = list(teacher.modules())
        # By what it keeps, since timm has relatives of BatchNorm; not by .train(), which reaches the parts of a layer.
        encoders = [one for one in self._modules if isinstance(one, Backbone) and one.tune == "frozen"]
        frozen = {id(part) for one in encoders for part in one.modules()}
        self._modes = ["running_var" in module._buffers and id(module) not in frozen for module in self._modules]
        # Some encoders keep what they derive from weights until they are put into training mode; and the weights move.
        self._keeping = [module for module in self._modules if type(module).train is not nn.Module.train]

    def enter(self) -> None:
        """Put every module into its mode."""
        for module in self._keeping:
            module.train().eval()
        for module, training in zip(self._modules, self._modes, strict=True):
            if module.training != training:
                module.training = training
