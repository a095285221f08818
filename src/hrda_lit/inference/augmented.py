"""Test-time augmentation: predict an image several times, at other scales and mirrored, and average."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from hrda_lit.config.ranges import Length, Scale
from hrda_lit.config.values import check_arguments
from hrda_lit.inference.base import (
    ATTENTION,
    Average,
    Inference,
    Original,
    Predict,
    as_logits,
    fused,
    windowed,
)
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

    Raises:
        ValueError: if there is no scale, one is not above 0, or average is unknown.
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
        self.scales, self.flip, self.average = tuple(scales), flip, average

    @property
    def network_size(self) -> tuple[int, int] | None:
        """Return that of `base`."""
        return self.base.network_size

    def check(self, network: Segmentor) -> None:
        """Raise a ValueError if `base` cannot apply the network."""
        self.base.check(network)

    def __call__(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Return the average at the size of the image or, with its original, of its label."""
        return self._labelled(network, fused, original or self._rescaled(image))

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Return the average of each view, see `Segmentor.views`."""

        def predict(variant: Tensor) -> dict[str, Tensor]:
            return self._base_of(network, variant).views(network, variant)

        return self._averaged(predict, original or self._rescaled(image))

    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        return self._labelled(network, predict, self._rescaled(image))

    def _labelled(self, network: Segmentor, predict: Predict, original: Original) -> Tensor:
        def once(variant: Tensor) -> dict[str, Tensor]:
            return {"": self._base_of(network, variant)._apply(network, predict, variant)}

        return self._averaged(once, original)[""]

    def _base_of(self, network: Segmentor, variant: Tensor) -> Inference:
        return self.base.narrowed(network, (variant.shape[-2], variant.shape[-1]))

    def _averaged(self, predict: Callable[[Tensor], dict[str, Tensor]], original: Original) -> dict[str, Tensor]:
        size, total = original.size, dict[str, Tensor]()
        for variant, mirrored in self._variants(original.scaled):
            for name, view in predict(variant).items():
                straight = resize(view.flip(-1) if mirrored else view, size)
                scores = straight.softmax(dim=1) if self._of_probabilities(name) else straight
                total[name] = total[name] + scores if name in total else scores
        count = len(self.scales) * (2 if self.flip else 1)
        return {name: self._finished(name, scores / count) for name, scores in total.items()}

    def _rescaled(self, image: Tensor) -> Original:
        height, width = image.shape[-2:]
        sizes = [(max(1, round(height * scale)), max(1, round(width * scale))) for scale in self.scales]
        return Original([resize(image, size) for size in sizes], (height, width))

    def _variants(self, images: Sequence[Tensor]) -> Iterator[tuple[Tensor, bool]]:
        for scaled in images:
            yield scaled, False
            if self.flip:
                yield scaled.flip(-1), True

    def _finished(self, name: str, scores: Tensor) -> Tensor:
        return as_logits(scores) if self._of_probabilities(name) else scores

    def _of_probabilities(self, name: str) -> bool:
        return self.average == "probabilities" and name != ATTENTION
