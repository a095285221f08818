"""What every way to predict a whole image can do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.resize import resize

Predict = Callable[[Tensor], Tensor]


class Inference(ABC):
    """Predict an image of any size."""

    def __call__(self, network: Segmentor, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        """Return the class logits of every pixel."""
        return self._apply(network, network.predict, image)

    def views(self, network: Segmentor, image: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B K H W"]]:
        """Return what the prediction was made of, at the size of the image, see `Segmentor.views`."""
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
