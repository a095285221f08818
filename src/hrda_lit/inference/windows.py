"""How a whole image is predicted: at once, or window by window."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.boxes import chunks, crop, sliding_boxes, stitch
from hrda_lit.ops.checks import require_at_least
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


class Whole(Inference):
    """Predict the image at once, as DAFormer is evaluated."""

    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % network.multiple, 0, -height % network.multiple))
        return predict(padded)[..., :height, :width]


class Slide(Inference):
    """Average the logits of overlapping windows, as HRDA is evaluated.

    An image smaller than a window is padded with the mean colour.

    Args:
        window: (height, width) in pixels.
        stride: (vertical, horizontal) step in pixels; None for half a window.
        batch: how many windows go through the network at once, >= 1.

    Raises:
        ValueError: if batch or stride is below 1.

    HRDA section 3.4.
    """

    def __init__(self, window: Sequence[int], stride: Sequence[int] | None = None, batch: int = 1) -> None:
        self.window = (window[0], window[1])
        self.stride = (window[0] // 2, window[1] // 2) if stride is None else (stride[0], stride[1])
        self.batch = batch
        require_at_least("inference.batch", batch, 1)
        require_at_least("inference.stride", min(self.stride), 1)

    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        missing = (0, max(0, self.window[1] - width), 0, max(0, self.window[0] - height))
        padded = F.pad(image, missing)
        size = (padded.shape[-2], padded.shape[-1])
        boxes = sliding_boxes(size, self.window, self.stride)
        pieces = (
            piece
            for some in chunks(boxes, self.batch)
            for piece in predict(torch.cat([crop(padded, box) for box in some])).chunk(len(some))
        )
        return stitch(pieces, boxes, size)[..., :height, :width]
