"""Self-training with a mean teacher: DAFormer, HRDA and, with a masked pass, MIC."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.guards.ranges import AboveShare, NotNegative, Share
from hrda_lit.methods.base import Batch, Labelled, Method, Networks, Pass, Seen, supervise
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.checks import require_at_least, require_share
from hrda_lit.ops.classmix import batch_classes, class_mask, draw_classes, paste
from hrda_lit.ops.colour import StrongAugmentation
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map


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
    ) -> None:
        require_share("tau", tau)
        require_at_least("lambda_fd", lambda_fd, 0)
        self.classes, self.tau, self.lambda_fd = classes, tau, lambda_fd
        self.augmentation, self.masked = augmentation, masked
        self.feature_distance = FeatureDistance(classes, min_ratio)
        self.needs_imagenet = lambda_fd > 0
        self.names = ("source", "mixed") if masked is None else ("source", "mixed", "masked")

    def passes(self, batch: Batch, networks: Networks, generator: torch.Generator) -> Iterator[Pass]:
        """Yield the source, the mixed and perhaps the masked pass."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        yield self._source(image, label, networks, generator)
        target, q = self.label_target(networks.teacher, batch["target"]["image"], batch["target"]["valid"])
        source = Labelled(image, label, torch.ones_like(target.weight))
        yield self._mixed(source, target, q, networks.student, generator)
        if self.masked is not None:
            yield self._masked(self.masked, source, target, networks.student, generator)

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if blocks of the masked pass are larger than a crop."""
        if self.masked is not None and self.masked.block > min(size):
            raise ValueError(
                f"method.masked.block={self.masked.block} is larger than a crop of {size}, which it would hide as a "
                "whole; lower it or raise data.crop."
            )

    def _source(self, image: Tensor, label: Tensor, networks: Networks, generator: torch.Generator) -> Pass:
        outputs = networks.student(image, generator)
        loss = supervise(outputs, label, self.classes)
        logs = {"loss/source": loss.detach()}
        if self.lambda_fd > 0:
            distance = self.feature_distance(networks, outputs.features, image, label)
            # One backward for both: the official release retains the source graph for a second (docs/official.md 13).
            loss = loss + self.lambda_fd * distance
            logs["loss/feature_distance"] = self.lambda_fd * distance.detach()
        return Pass("source", loss, logs, {"source": Seen(image, label, box=outputs.outputs[-1].box)})

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
        labels = pseudo_labels(batch_statistics_mode(teacher).predict(image).float(), self.tau)
        return Labelled(image, labels.label, weight_map(labels.q, valid)), labels.q

    def _mixed(
        self, source: Labelled, target: Labelled, q: Tensor, student: Segmentor, generator: torch.Generator
    ) -> Pass:
        mixed = self.mix(source, target, generator)
        outputs = student(mixed.image, generator)
        loss = supervise(outputs, mixed.label, self.classes, mixed.weight)
        seen = {"target": Seen(*target), "mixed": Seen(*mixed, outputs.outputs[-1].box)}
        return Pass("mixed", loss, {"loss/mixed": loss.detach(), "pseudo/q": q}, seen)

    def _masked(
        self,
        masked: MaskedConsistency,
        source: Labelled,
        target: Labelled,
        student: Segmentor,
        generator: torch.Generator,
    ) -> Pass:
        hidden = masked.prepare(source, target, self.augmentation, generator)
        outputs = student(hidden.image, generator)
        loss = supervise(outputs, hidden.label, self.classes, hidden.weight)
        seen = {"masked": Seen(*hidden, outputs.outputs[-1].box)}
        return Pass("masked", masked.weight * loss, {"loss/masked": loss.detach()}, seen)

    def mix(self, source: Labelled, target: Labelled, generator: torch.Generator) -> Labelled:
        """Paste half of the source's classes into the target and augment the result.

        Pasted pixels weigh 1, the target's their q.

        Args:
            source: labelled source crops.
            target: pseudo-labelled target crops.
            generator: source of randomness (CPU).

        Returns:
            Mixed crops.

        DAFormer section 3.2 (DACS).
        """
        present = batch_classes(source.label)
        chosen = [draw_classes(present, generator) for _ in source.label]
        mask = class_mask(source.label, chosen)
        image = paste(mask, source.image, target.image)
        if self.augmentation is not None:
            image = self.augmentation(image, generator)
        return Labelled(image, paste(mask, source.label, target.label), paste(mask, source.weight, target.weight))


def batch_statistics_mode(teacher: Segmentor) -> Segmentor:
    """Put a teacher into the mode it labels in: BatchNorm on batch statistics, everything else as in inference.

    official: the same, though the paper calls it inference (docs/official.md 11).

    Args:
        teacher: changed in place.

    Returns:
        The teacher.
    """
    # First into training mode: some encoders keep what they derive from weights until then, and the weights move.
    teacher.train().eval()
    for module in teacher.modules():
        # By what it keeps, since timm has relatives of BatchNorm; not by .train(), which reaches the parts of a layer.
        if "running_var" in module._buffers:
            module.training = True
    return teacher
