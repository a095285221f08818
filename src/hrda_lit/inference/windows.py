"""A whole image at once, or window by window."""

from collections.abc import Iterator
from itertools import islice
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.config.ranges import Count, Sides
from hrda_lit.config.values import check_arguments
from hrda_lit.inference.base import FUSED, Average, Inference, Original, Views, sized, to_logits, to_scores
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.boxes import Box, sliding_boxes, stitch

# Of MiT-B5 with DAFormer's head in float32: 30 crops of 512 x 512 took 7.6 GB (H200); half of what is free is
# used.
_BYTES_A_PIXEL = 1000
_PIXELS_ON_CPU = 512 * 512  # more does not make a CPU faster

Blend = Literal["average", "hann"]


@check_arguments
class Whole(Inference):
    """Predict the image at once, as DAFormer is evaluated.

    Args:
        bf16: whether the network computes under autocast to bfloat16.
        blend: how overlapping details are averaged, as in `Slide`.
    """

    def __init__(self, bf16: bool = False, blend: Blend = "average") -> None:
        self.bf16, self.smooth = bf16, blend == "hann"

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None, every: bool = True
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Predict the image, padded to what the network needs, see `Inference.views`."""
        height, width = image.shape[-2:]
        needed = network.padded_size((height, width))
        padded = F.pad(image, (0, needed[1] - width, 0, needed[0] - height))
        with self._autocast(image):
            views = network.views(padded, self.smooth)
        names = views if every else [FUSED]
        return {name: sized(views[name], needed)[..., :height, :width] for name in names}


@check_arguments
class Slide(Inference):
    """Average the logits of overlapping windows, as HRDA is evaluated.

    An image smaller than a window is padded with the mean colour (docs/official.md 23).

    Args:
        window: (height, width) in pixels; a config may leave it open, see `windowed`.
        stride: (vertical, horizontal) step in pixels; None for half a window, or a whole one without overlap.
        batch: number of windows, >= 1, whose pixels go through the network at once; None for what free memory
            of a GPU allows. It changes results only by rounding.
        overlap: whether windows, and details in them, overlap; False is faster and worse.
        bf16: whether the network computes under autocast to bfloat16.
        blend: "average" of overlapping windows and details, as in the papers, which shows their borders; or
            "hann", by Hann's window, in which these fade.
        average: "logits", as HRDA, or "probabilities": the softmax of each window, whose mean is returned as
            logits.

    Raises:
        ValueError: if batch or stride is below 1, windows leave gaps, or blend or average is unknown.

    HRDA section 3.4.
    """

    def __init__(
        self,
        window: Sides,
        stride: Sides | None = None,
        batch: Count | None = None,
        overlap: bool = True,
        bf16: bool = False,
        blend: Blend = "average",
        average: Average = "logits",
    ) -> None:
        self.window = self.network_size = (window[0], window[1])
        step = 2 if overlap else 1
        self.stride = (window[0] // step, window[1] // step) if stride is None else (stride[0], stride[1])
        self.batch, self.overlap, self.bf16 = batch, overlap, bf16
        self.blend, self.smooth, self.average = blend, blend == "hann", average
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError(
                f"inference.stride of {self.stride} leaves gaps between windows of {self.window}; lower it, or raise "
                "inference.window."
            )

    def check(self, network: Segmentor) -> None:
        """Raise a ValueError if the network cannot predict the windows."""
        network.check_window("inference.window", self.window)

    def strips(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], every: bool
    ) -> Iterator[tuple[int, str, Float[Tensor, "B K h W"]]]:
        """Yield rows as soon as no further window reaches them, see `Inference.strips`.

        Until then windows are kept as the network returned them, which takes a sixteenth of the memory.
        """
        height, width = image.shape[-2:]
        missing = (0, max(0, self.window[1] - width), 0, max(0, self.window[0] - height))
        padded = F.pad(image, missing) if any(missing) else image
        boxes = sliding_boxes((padded.shape[-2], padded.shape[-1]), self.window, self.stride)
        made, live = self._windows(network, padded, boxes), list[tuple[Box, Views]]()
        tops = sorted({box.top for box in boxes})
        for top, bottom in zip(tops, [*tops[1:], padded.shape[-2]], strict=True):
            live = [window for window in live if window[0].bottom > top]
            live += islice(made, len(boxes) // len(tops))
            for name in live[0][1]:
                if every or name == FUSED:
                    pieces = (sized(views[name], box.size) for box, views in live)
                    size = (bottom - top, padded.shape[-1])
                    rows = stitch(pieces, [box for box, _ in live], size, self.smooth, top)
                    yield top, name, to_logits(rows[..., : height - top, :width], name, self.average)

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None, every: bool = True
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Average the windows of the image, see `Inference.views`."""
        views: dict[str, Tensor] = {}
        for top, name, rows in self.strips(network, image, every):
            if name not in views:
                views[name] = rows.new_empty(*rows.shape[:2], *image.shape[-2:])
            views[name][..., top : top + rows.shape[-2], :] = rows
        return views

    def narrowed(self, network: Segmentor, size: tuple[int, int]) -> "Slide":
        """Return windows that are as large as the image needs, where it is smaller than they are."""
        window = [min(pair) for pair in zip(self.window, network.padded_size(size), strict=True)]
        stride = [min(pair) for pair in zip(self.stride, window, strict=True)]
        return Slide(window, stride, self.batch, self.overlap, self.bf16, self.blend, self.average)

    def _windows(self, network: Segmentor, image: Tensor, boxes: list[Box]) -> Iterator[tuple[Box, Views]]:
        pixels = pixels_at_once(image) if self.batch is None else self.batch * self.window[0] * self.window[1]
        windows = network.window_views(image, boxes, pixels, self.overlap, self.smooth)
        for box in boxes:
            with self._autocast(image):
                views = next(windows)
            if self.average == "probabilities":
                views = {name: to_scores(sized(view, box.size), name, self.average) for name, view in views.items()}
            yield box, views


def pixels_at_once(image: Float[Tensor, "B 3 H W"]) -> int:
    """Return how many pixels of each image go through a network at once, by the free memory of its device."""
    if image.device.type != "cuda":
        return _PIXELS_ON_CPU
    unused = torch.cuda.memory_reserved(image.device) - torch.cuda.memory_allocated(image.device)
    free = torch.cuda.mem_get_info(image.device)[0] + unused
    return int(free / 2 / _BYTES_A_PIXEL) // image.shape[0]
