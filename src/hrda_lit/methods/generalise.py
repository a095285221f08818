"""Domain generalisation: learn from augmented source images, without a target."""

from collections.abc import Iterator, Sequence

import torch

from hrda_lit.config.ranges import AboveShare, NotNegative
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Draws, Method, Networks, Pass, supervise_source
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.colour import StrongAugmentation, augment


@check_arguments
class Generalise(Method):
    """Learn from source labels under strong changes of colour and sharpness, near the pretrained features.

    Args:
        classes: classes of the labels.
        lambda_fd: weight of the feature distance, >= 0; 0 for none.
        augmentation: jitter and blur of source images; None for none.
        min_ratio: see `FeatureDistance`.

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

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Draws:
        """Draw the student's randomness and how images are augmented."""
        drawn: Draws = super().draw(student, shape, generator)
        if self.augmentation is not None:
            drawn = drawn._replace(augmentation=self.augmentation.draw(shape[0], generator))
        return drawn

    def passes(self, batch: Batch, networks: Networks, drawn: Draws) -> Iterator[Pass]:
        """Yield the source pass."""
        image, label = batch["source"]["image"], batch["source"]["label"]
        if drawn.augmentation is not None:
            image = augment(image, drawn.augmentation)
        outputs = networks.student(image, drawn.source())
        source = supervise_source(outputs, image, label, self.classes)
        yield self.feature_distance.add_to(source, self.lambda_fd, networks, outputs)
