"""The feature distance: keep the encoder near its ImageNet features on things."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hrda_lit.config.ranges import AboveShare
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Networks, Pass
from hrda_lit.networks.segmentor import TrainingOutput
from hrda_lit.ops.losses import downscale_label, feature_distance, thing_mask


@check_arguments
@dataclass(frozen=True)
class FeatureDistance:
    """L_FD between the student and the frozen ImageNet encoder, on the source image.

    Args:
        classes: classes of the labels, and which of them are things.
        min_ratio: share of a feature cell that one class must cover, in (0, 1].

    DAFormer section 3.3; user's document, L_FD.
    """

    classes: Classes
    min_ratio: AboveShare = 0.75

    def __call__(
        self,
        networks: Networks,
        supervised: TrainingOutput,
        image: Float[Tensor, "B 3 H W"],
        label: Int[Tensor, "B H W"],
    ) -> Float[Tensor, ""]:
        """Return the distance between the student's features in `supervised` and those of the frozen encoder.

        HRDA measures it on the context crop only (docs/official.md 10), and on both crops where the detail crop
        is the whole crop (docs/official.md 25).
        """
        distance = self._between(networks, supervised.features, networks.student.context(image), label)
        if supervised.detail_features is None:
            return distance
        return distance + self._between(networks, supervised.detail_features, image, label)

    def add_to(self, source: Pass, weight: float, networks: Networks, supervised: TrainingOutput) -> Pass:
        """Add the distance, times `weight` (0 for none), to the source pass, in one backward for both.

        official: the release retains the graph for a second backward (docs/official.md 13).
        """
        if weight == 0:
            return source
        crops = source.crops["source"]
        distance = weight * self(networks, supervised, crops.image, crops.label)
        logs = {**source.logs, "loss/feature_distance": distance.detach()}
        return source._replace(loss=source.loss + distance, logs=logs)

    def _between(self, networks: Networks, features: Tensor, image: Tensor, label: Tensor) -> Tensor:
        assert networks.imagenet is not None
        with torch.no_grad():
            reference = networks.imagenet(image)[-1]
        cell = label.shape[-1] // features.shape[-1]
        small = downscale_label(label, cell, self.min_ratio, len(self.classes), self.classes.ignore)
        # Features have one cell more than the label where a crop is not a multiple of the cell.
        rows, columns = (min(sides) for sides in zip(small.shape[-2:], features.shape[-2:], strict=True))
        mask = thing_mask(small[:, :rows, :columns], self.classes.things)
        return feature_distance(features[..., :rows, :columns], reference[..., :rows, :columns], mask)
