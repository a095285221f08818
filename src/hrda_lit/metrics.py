"""Intersection over union from one confusion matrix over the whole set."""

from jaxtyping import Float, Int
from torch import Tensor


def class_iou(confusion: Int[Tensor, "C C"]) -> Float[Tensor, " C"]:
    """Compute the IoU of each class.

    Args:
        confusion: pixels by label (rows) and prediction (columns).

    Returns:
        Fractions in [0, 1]; NaN for a class that neither labels nor predictions hold.
    """
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def mean_iou(iou: Float[Tensor, " C"]) -> float:
    """Average the IoU over the classes that occur; NaN if none does."""
    return float(iou[~iou.isnan()].mean())
