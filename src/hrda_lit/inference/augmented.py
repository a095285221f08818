"""Test-time augmentation: predict an image several times, at other scales and mirrored, and average."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from hrda_lit.config.ranges import Length, Scale
from hrda_lit.config.values import check_arguments
from hrda_lit.inference.base import Average, Inference, Original, to_logits, to_scores, windowed
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.resize import resize


@check_arguments
class Augmented(Inference):
    """Average what another inference predicts for an image at several scales, and for its mirror image.

    official: each scale is resized from the file, softmax is averaged at the label's size, and an image
    smaller than a window is taken as it is; here: the same where the original is given, and smaller images
    are padded to what the network needs (docs/official.md 23).

    Averages of probabilities are returned as their logarithms, which are logits of just these probabilities.

    Args:
        window: (height, width) in pixels of the windows of `base`, where it does not bring its own.
        base: inference of each variant, or a function of a window that makes one.
        scales: factors of the image's sides, > 0.
        flip: whether each scale is also predicted mirrored.
        average: "probabilities", as the official test-time augmentation, or "logits".
    """

    def __init__(
        self,
        window: Sequence[int],
        base: Inference | Callable[..., Inference],
        scales: Annotated[Sequence[Scale], Length(least=1)] = (1.0,),
        flip: bool = True,
        average: Average = "probabilities",
    ) -> None:
        self.base = base if isinstance(base, Inference) else windowed(base, window)
        self.network_size = self.base.network_size
        self.scales, self.flip, self.average = tuple(scales), flip, average

    def check(self, network: Segmentor) -> None:
        """Raise a ValueError if `base` cannot apply the network."""
        self.base.check(network)

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None, every: bool = True
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Average each view over the variants of the image, see `Inference.views`."""
        scaled, size = original or self._rescaled(image)
        totals: dict[str, Tensor] = {}
        variants = list(product(scaled, (False, True) if self.flip else (False,)))
        for variant, mirrored in variants:
            base = self.base.narrowed(network, (variant.shape[-2], variant.shape[-1]))
            shown = variant.flip(-1) if mirrored else variant
            for name, view in base.views(network, shown, every=every).items():
                straight = resize(view.flip(-1) if mirrored else view, size)
                scores = to_scores(straight, name, self.average)
                totals[name] = totals[name] + scores if name in totals else scores
        return {name: to_logits(total / len(variants), name, self.average) for name, total in totals.items()}

    def _rescaled(self, image: Tensor) -> Original:
        height, width = image.shape[-2:]
        sizes = [(max(1, round(height * scale)), max(1, round(width * scale))) for scale in self.scales]
        return Original([resize(image, size) for size in sizes], (height, width))
