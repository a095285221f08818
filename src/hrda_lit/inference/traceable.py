"""Whole images to logits in a form that a graph of tensor operations can hold."""

import copy
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from hrda_lit.inference.base import FUSED, Inference, Original, sized, to_logits, to_scores
from hrda_lit.inference.windows import Slide, Whole
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.boxes import hann
from hrda_lit.ops.normalise import renormalise


class ImageToLogits(nn.Module):
    """Normalise an image, predict it, and return the logits at its own size.

    Raises:
        ValueError: if the inference predicts an image more than once.
    """

    def __init__(self, network: Segmentor, inference: Inference) -> None:
        super().__init__()
        if not isinstance(inference, Slide | Whole):
            raise ValueError(  # noqa: TRY004  a choice of a config, not a wrong type
                f"the inference {type(inference).__name__} cannot be exported, only windows or a whole image; "
                "export one of these."
            )
        if isinstance(inference, Slide) and not inference.overlap:
            network = copy.copy(network)
            network.overlap = False
        self.network = network
        self.inference = TraceableSlide(inference) if isinstance(inference, Slide) else inference

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        """Return class logits of an RGB image in [0, 1]."""
        return self.inference(self.network, renormalise(image))


class ImageToIds(ImageToLogits):
    """Decide the class of each pixel: a frame of 19 classes shrinks from 76 bytes a pixel to one."""

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B H W"]:
        """Return train ids of an RGB image in [0, 1]."""
        return super().forward(image).argmax(dim=1).to(torch.uint8)


class TraceableSlide(Inference):
    """Equal `Slide` up to rounding, with all windows in one batch: graphs fix the number of a loop's steps."""

    def __init__(self, slide: Slide) -> None:
        self.window, self.stride = slide.window, slide.stride
        self.smooth, self.average = slide.smooth, slide.average

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None, every: bool = True
    ) -> dict[str, Float[Tensor, "B C H W"]]:
        """Return the fused view, see `Inference.views`."""
        height, width = image.shape[-2:]
        missing: list[Any] = [torch.sym_max(0, w - e) for w, e in zip(self.window, (height, width), strict=True)]
        padded = F.pad(image, (0, missing[1], 0, missing[0]))
        sides = (padded.shape[-2], padded.shape[-1])
        rows, columns = (_Axis(*axis) for axis in zip(sides, self.window, self.stride, strict=True))
        windows = padded[:, :, rows.pixels][..., columns.pixels].permute(2, 4, 0, 1, 3, 5).flatten(0, 2)
        counts = (rows.pixels.shape[0], columns.pixels.shape[0], image.shape[0])
        logits = sized(network.views(windows, self.smooth)[FUSED], self.window)
        scores = to_scores(logits, FUSED, self.average)
        pieces: Tensor = scores.unflatten(0, counts)  # type: ignore[no-untyped-call]
        stripes = columns.overlay(pieces.permute(1, 5, 0, 4, 2, 3).flatten(0, 1), self.smooth)
        canvas = rows.overlay(stripes.permute(1, 2, 0, 3, 4).flatten(0, 1), self.smooth)
        mean = canvas.permute(2, 3, 0, 1)[..., :height, :width]
        return {FUSED: to_logits(mean, FUSED, self.average)}


class _Axis:
    """The windows along one side of an image, with the pixels of each; the last one is moved inwards to fit."""

    def __init__(self, extent: int, window: int, stride: int) -> None:
        self.extent, self.stride, last = extent, stride, extent - window
        starts = torch.arange((last + stride - 1) // stride + 1) * stride
        self.pixels: Int[Tensor, "N w"] = starts.clamp(max=last)[:, None] + torch.arange(window)

    def overlay(self, pieces: Float[Tensor, "Nw ..."], smooth: bool = False) -> Float[Tensor, "extent ..."]:
        """Average the pieces that cover a pixel, weighted by `hann` if `smooth`.

        Each pixel gathers its pieces: onnxruntime's scatter runs in threads and loses additions to one place.
        """
        last, window = self.pixels.shape[0] - 1, self.pixels.shape[1]
        pixel = torch.arange(self.extent)
        ones = pieces.new_ones(self.extent, *(1 for _ in pieces.shape[1:]))
        total, count = torch.zeros_like(ones), torch.zeros_like(ones)
        bell = hann(window, pieces) if smooth else None
        # A pixel lies in a few regular windows, found from its place, and perhaps in the last.
        regular = [pixel // self.stride - back for back in range(-(-window // self.stride))]
        places = [(n, (n >= 0) & (n < last)) for n in regular]
        for index, is_window in (*places, (pixel * 0 + last, pixel >= 0)):
            index = index.clamp(min=0, max=last)
            offset = pixel - self.pixels[index, 0]
            weight = (is_window & (offset >= 0) & (offset < window)).view_as(ones) * ones
            inside = offset.clamp(min=0, max=window - 1)
            weight = weight if bell is None else weight * bell[inside].view_as(ones)
            total = total + weight * pieces[index * window + inside]
            count = count + weight
        return total / count
