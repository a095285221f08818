"""Count the pixels of a validation, over all devices."""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torchmetrics import SumMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from hrda_lit.data.classes import Classes
from hrda_lit.ops.decide import best
from hrda_lit.ops.finite import all_finite


class ValidationCounts(nn.Module):
    """Count the pixels of full images by label and prediction.

    A module, so that it goes where the networks go; nothing of it is stored.

    Args:
        classes: classes of the labels.
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.confusion = MulticlassConfusionMatrix(len(classes), ignore_index=classes.ignore, validate_args=False)
        self.unscorable = SumMetric(nan_strategy="disable")

    def update(self, logits: Float[Tensor, "B C h w"], label: Int[Tensor, "B H W"]) -> None:
        """Count images at the size of their labels."""
        # Refused at the end, by all devices together: one that stopped here would leave the others waiting.
        self.unscorable.update(~all_finite(logits))
        self.confusion.update(best(logits, (label.shape[-2], label.shape[-1])), label)

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
