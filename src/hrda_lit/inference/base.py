"""What every way to predict a whole image can do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.resize import resize

Predict = Callable[[Tensor], Tensor]


class Original(NamedTuple):
    """What an image was before it was fitted: itself at each of `Inference.scales`, and the size of its label."""

    scaled: Sequence[Float[Tensor, "B 3 h w"]]
    size: tuple[int, int]


class Inference(ABC):
    """Predict an image of any size.

    Attributes:
        scales: at which the image is predicted beside its fitted size; none for most.
    """

    scales: tuple[float, ...] = ()

    def __call__(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Return the class logits of every pixel.

        Args:
            network: predicts.
            image: as it was fitted into the box of its data set.
            original: the same image resized from its file, which inferences with `scales` use.

        Returns:
            At the size of the image or, where `original` was used, of its label.
        """
        return self._apply(network, network.predict, image)

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Return what the prediction was made of, at the size of the prediction, see `Segmentor.views`."""
        widths: dict[str, int] = {}

        def stacked(window: Tensor) -> Tensor:
            views = network.views(window)
            widths.update({name: view.shape[1] for name, view in views.items()})
            size = (window.shape[-2], window.shape[-1])
            return torch.cat([resize(view, size) for view in views.values()], dim=1)

        parts = torch.split(self._apply(network, stacked, image), [*widths.values()], dim=1)
        return dict(zip(widths, parts, strict=True))

    @property
    def network_size(self) -> tuple[int, int] | None:
        """Return (height, width) in pixels of what the network gets; None where that depends on the image."""
        return None

    def check(self, network: Segmentor) -> None:  # noqa: B027  a whole image is padded as the network needs it
        """Raise a ValueError if the network cannot be applied this way."""

    def narrowed(self, network: Segmentor, size: tuple[int, int]) -> "Inference":
        """Return the same for an image of `size`, with windows no larger than the network needs for it."""
        return self

    @abstractmethod
    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        """Apply `predict` to the image as a whole or in windows."""


def windowed(make: Callable[..., Inference], window: Sequence[int]) -> Inference:
    """Make an inference, with windows of this size where its config leaves them open.

    Args:
        make: takes a window; a partial may have been given one already.
        window: (height, width) in pixels.
    """
    return make(window=getattr(make, "keywords", {}).get("window") or window)
