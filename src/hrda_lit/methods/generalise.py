"""Domain generalisation: no target at all, but a source in many colours."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hrda_lit.config.ranges import AboveShare, NotNegative
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Method, Networks, Pass, on_source
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.colour import Augmentation, StrongAugmentation, augment


class GeneraliseDraws(NamedTuple):
    """Everything random of a step: what the student leaves to chance, and the augmentation; None for none."""

    student: Tensor
    augmentation: Augmentation | None


@check_arguments
class Generalise(Method):
    """Learn from source labels under strong changes of colour and sharpness, near the pretrained features.

    Args:
        classes: the classes of the labels.
        lambda_fd: weight of the feature distance, >= 0; 0 leaves it out.
        augmentation: jitter and blur of source images; None for none.
        min_ratio: see `FeatureDistance`.

    Raises:
        ValueError: if lambda_fd is out of range.

    HRDA's extension to domain generalisation (TPAMI 2023) section 3.4, without its style hallucination.
    """

    names = ("source",)

    def __init__(
        self,
        classes: Classes,
        lambda_fd: NotNegative = 0.005,
        augmentation: StrongAugmentation | None = None,
        min_ratio: AboveShare = 0.75,
    ) -> None:
        self.classes, self.lambda_fd, self.augmentation = classes, lambda_fd, augmentation
        self.feature_distance = FeatureDistance(classes, min_ratio)
        self.needs_imagenet = lambda_fd > 0

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> GeneraliseDraws:
        """Draw where the student looks and how images are augmented."""
        seen = student.draw((shape[-2], shape[-1]), generator)
        return GeneraliseDraws(seen, None if self.augmentation is None else self.augmentation.draw(shape[0], generator))

    def passes(self, batch: Batch, networks: Networks, drawn: GeneraliseDraws) -> Iterator[Pass]:
        """Yield the source pass."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        if drawn.augmentation is not None:
            image = augment(image, drawn.augmentation)
        outputs = networks.student(image, drawn.student)
        done = on_source(outputs, image, label, self.classes)
        yield self.feature_distance.add_to(done, self.lambda_fd, networks, outputs)
