"""Pseudo-labels of the teacher, how much they are trusted, and where two networks agree."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hrda_lit.ops.backends import along_classes
from hrda_lit.ops.logits import current_rows, tiles
from hrda_lit.ops.losses import pixel_entropy


class PseudoLabels(NamedTuple):
    """Labels p^T, their softmax probability, and the share q of confident pixels, of all or of each image."""

    label: Int[Tensor, "B H W"]
    confidence: Float[Tensor, "B H W"]
    q: Float[Tensor, "*B"]


def pseudo_labels(
    logits: Float[Tensor, "B C h w"],
    tau: float,
    size: tuple[int, int] | None = None,
    per_image: bool = False,
) -> PseudoLabels:
    """Label each pixel with its most probable class and measure the confidence of the batch.

    official: q is one share over the whole batch, and `>=` (docs/official.md 2); paper: one share per
    image, and `>`; here: the official rule by default, because published numbers were made with it.

    Args:
        logits: class scores of the teacher.
        tau: confidence threshold.
        size: (height, width) in pixels to which logits are upsampled; None for their own.
        per_image: whether q is one share per image, as in the paper.

    Returns:
        p^T, the confidence in [0, 1], and q^T in [0, 1]; NaN where a logit is NaN or infinite.

    User's document, "Preliminary", p^T, and equation 3, q^T.
    """
    cells = logits.shape[-2]
    confidences, labels = [], []
    for tile in tiles(cells, size or (cells, logits.shape[-1]), current_rows()):
        scores, axis = along_classes(tile.upsample(logits[..., tile.cells, :]).float())
        confidence, label = scores.softmax(axis).max(axis)
        confidences.append(confidence)
        labels.append(label)
    confidence, label = torch.cat(confidences, dim=1), torch.cat(labels, dim=1)
    # A comparison turns NaN into a number; q must be NaN, so that the step is skipped.
    confident = (confidence >= tau).float() + 0 * confidence
    return PseudoLabels(label, confidence, confident.mean((1, 2)) if per_image else confident.mean())


def weight_map(q: Float[Tensor, "*B"], valid: Float[Tensor, "B H W"]) -> Float[Tensor, "B H W"]:
    """Return the pixel weight q^T: q, and 0 in margins (ego car, rectified border) and padding.

    q itself was counted with the margins included (docs/official.md 2).

    DAFormer section 3.2; user's document, L^T_HRDA.
    """
    return q.view(-1, 1, 1) * valid


def relative_entropy(logits: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H W"]:
    """Return the entropy of each pixel's prediction divided by log C, in [0, 1]; 0 is certain."""
    return pixel_entropy(logits.float()) / math.log(logits.shape[1])


def agreement(
    one: Float[Tensor, "B C H W"], other: Float[Tensor, "B C H W"], valid: Float[Tensor, "B H W"]
) -> Float[Tensor, "3"]:
    """Sum the relative entropy of `one` and the pixels where `other` has the same class, weighted by `valid`.

    Returns:
        Sums of relative entropy, of equal classes, and of weights, to be added over images and devices; NaN
        where a logit is NaN or infinite.
    """
    same = (one.argmax(dim=1) == other.argmax(dim=1)).float()
    # A comparison turns NaN into a number.
    same = same + 0 * (one.float().sum(dim=1) + other.float().sum(dim=1))
    return torch.stack([(relative_entropy(one) * valid).sum(), (same * valid).sum(), valid.sum()])
