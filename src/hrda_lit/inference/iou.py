"""Count the pixels of a dataset in one confusion matrix, over all devices, and compute the IoU."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn
from torchmetrics import SumMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from hrda_lit.data.classes import CITYSCAPES, Classes
from hrda_lit.ops.finite import all_finite
from hrda_lit.ops.logits import best_classes

_NOT_IN_SYNTHIA = ("terrain", "truck", "train")
# Classes that work on SYNTHIA -> Cityscapes leaves out of the mean: those it lacks, and for 13 its unreliable
# ones too.
SUBSETS = {"mIoU 16": _NOT_IN_SYNTHIA, "mIoU 13": (*_NOT_IN_SYNTHIA, "wall", "fence", "pole")}


def class_iou(confusion: Int[Tensor, "C C"]) -> Float[Tensor, " C"]:
    """Compute the IoU of each class in [0, 1], NaN if absent; labels are rows, predictions columns."""
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def mean_iou(iou: Float[Tensor, " C"]) -> float:
    """Average the IoU over the classes that occur; NaN if none does."""
    return float(iou[~iou.isnan()].mean())


def mean_ious(iou: Float[Tensor, " C"], names: Sequence[str]) -> dict[str, float]:
    """Average over all classes that occur and, of Cityscapes, over the 16 and 13 reported on SYNTHIA.

    Returns:
        Fractions by "mIoU", "mIoU 16" and "mIoU 13"; only "mIoU" for other classes.

    HRDA section 4.1, SYNTHIA.
    """
    means = {"mIoU": mean_iou(iou)}
    if tuple(names) == CITYSCAPES.names:
        for title, left_out in SUBSETS.items():
            means[title] = mean_iou(iou[[index for index, name in enumerate(names) if name not in left_out]])
    return means


def logged_means(iou: Float[Tensor, " C"], names: Sequence[str]) -> dict[str, float]:
    """Name the means of `mean_ious` as metrics.json does: "val/miou", "val/miou_16" and "val/miou_13"."""
    return {f"val/{title.lower().replace(' ', '_')}": mean for title, mean in mean_ious(iou, names).items()}


class ValidationCounts(nn.Module):
    """Count the pixels of full images by label and prediction; nothing of it is stored in checkpoints."""

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.confusion = MulticlassConfusionMatrix(len(classes), ignore_index=classes.ignore, validate_args=False)
        self.unscorable = SumMetric(nan_strategy="disable")

    def update(self, logits: Float[Tensor, "B C h w"], label: Int[Tensor, "B H W"]) -> None:
        """Count images at the size of their labels."""
        # Raised by `finish` on all devices: one that stopped here would block the others.
        self.unscorable.update(~all_finite(logits))
        self.confusion.update(best_classes(logits, (label.shape[-2], label.shape[-1])), label)

    def finish(self) -> Int[Tensor, "C C"]:
        """Return the pixels by label (rows) and prediction (columns), and reset.

        Raises:
            FloatingPointError: if a prediction was NaN or infinite.
        """
        unscorable, counts = int(self.unscorable.compute()), self.confusion.compute()
        self.unscorable.reset()
        self.confusion.reset()
        if unscorable:
            raise FloatingPointError(
                f"the network predicts NaN or infinity for {unscorable} validation images, its training diverged; "
                "lower optim.lr, set optim.clip, or resume from an earlier checkpoint."
            )
        return counts
