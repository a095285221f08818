"""A whole image at once, or window by window."""

import torch
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.guards.ranges import Count, Sides
from hrda_lit.inference.base import Inference, Predict
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.boxes import chunks, crop, sliding_boxes, stitch
from hrda_lit.ops.checks import require_at_least


class Whole(Inference):
    """Predict the image at once, as DAFormer is evaluated."""

    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        needed = network.padded_size((height, width))
        return predict(F.pad(image, (0, needed[1] - width, 0, needed[0] - height)))[..., :height, :width]


class Slide(Inference):
    """Average the logits of overlapping windows, as HRDA is evaluated.

    An image smaller than a window is padded with the mean colour (docs/official.md 23).

    Args:
        window: (height, width) in pixels.
        stride: (vertical, horizontal) step in pixels; None for half a window.
        batch: how many windows go through the network at once, >= 1.

    Raises:
        ValueError: if batch or stride is below 1, or windows leave gaps.

    HRDA section 3.4.
    """

    def __init__(self, window: Sides | None, stride: Sides | None = None, batch: Count = 1) -> None:
        assert window is not None, "a window left open is filled in by `windowed`"
        self.window = (window[0], window[1])
        self.stride = (window[0] // 2, window[1] // 2) if stride is None else (stride[0], stride[1])
        self.batch = batch
        require_at_least("inference.batch", batch, 1)
        require_at_least("inference.stride", min(self.stride), 1)
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(
                f"inference.stride of {self.stride} leaves gaps between windows of {self.window}; lower it, or raise "
                "inference.window."
            )

    @property
    def network_size(self) -> tuple[int, int]:
        """Return the size of a window."""
        return self.window

    def check(self, network: Segmentor) -> None:
        """Raise a ValueError if the network cannot predict the windows."""
        network.check_window("inference.window", self.window)

    def narrowed(self, network: Segmentor, size: tuple[int, int]) -> "Slide":
        """Return windows that are as large as the image needs, where it is smaller than they are."""
        window = [min(pair) for pair in zip(self.window, network.padded_size(size), strict=True)]
        return Slide(window, [min(pair) for pair in zip(self.stride, window, strict=True)], self.batch)

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
