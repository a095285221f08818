"""Test-time augmentation: predict an image several times, at other scales and mirrored, and average."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.guards.ranges import Length, Scale
from hrda_lit.inference.base import ATTENTION, Inference, Predict, windowed
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.resize import resize

AVERAGES = ("probabilities", "logits")


class Augmented(Inference):
    """Average what another inference predicts for an image at several scales, and for its mirror image.

    Averages of probabilities are returned as their logarithms, which are logits of just these probabilities.

    Args:
        window: (height, width) in pixels of the windows of `base`, where it does not bring its own.
        base: predicts each variant, an inference or what makes one from a window.
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
        average: Literal["probabilities", "logits"] = "probabilities",
    ) -> None:
        if not scales or not min(scales) > 0:
            raise ValueError(f"inference.scales={list(scales)} must be numbers above 0, at least one; correct them.")
        if average not in AVERAGES:
            raise ValueError(f"inference.average={average!r} is none of {list(AVERAGES)}; choose one.")
        self.base = base if isinstance(base, Inference) else windowed(base, window)
        self.scales, self.flip, self.average = tuple(scales), flip, average

    @property
    def network_size(self) -> tuple[int, int] | None:
        """Return that of `base`."""
        return self.base.network_size

    def check(self, network: Segmentor) -> None:
        """Raise a ValueError if `base` cannot apply the network."""
        self.base.check(network)

    def views(self, network: Segmentor, image: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B K H W"]]:
        """Return the average of each view, at the size of the image, see `Segmentor.views`."""
        return self._averaged(lambda variant: self.base.views(network, variant), image)

    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        return self._averaged(lambda variant: {"": self.base._apply(network, predict, variant)}, image)[""]

    def _averaged(self, predict: Callable[[Tensor], dict[str, Tensor]], image: Tensor) -> dict[str, Tensor]:
        size, total = (image.shape[-2], image.shape[-1]), dict[str, Tensor]()
        for variant, mirrored in self._variants(image):
            for name, view in predict(variant).items():
                straight = resize(view.flip(-1) if mirrored else view, size)
                scores = straight.softmax(dim=1) if self._of_probabilities(name) else straight
                total[name] = total[name] + scores if name in total else scores
        count = len(self.scales) * (2 if self.flip else 1)
        return {name: self._finished(name, scores / count) for name, scores in total.items()}

    def _variants(self, image: Tensor) -> Iterator[tuple[Tensor, bool]]:
        height, width = image.shape[-2:]
        for scale in self.scales:
            scaled = resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
            yield scaled, False
            if self.flip:
                yield scaled.flip(-1), True

    def _finished(self, name: str, scores: Tensor) -> Tensor:
        if not self._of_probabilities(name):
            return scores
        return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()

    def _of_probabilities(self, name: str) -> bool:
        return self.average == "probabilities" and name != ATTENTION
