"""Whole images to logits in a form that a graph of tensor operations can hold."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from hrda_lit.networks.inference import Inference, Predict, Slide, Whole
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.normalise import renormalise


class ImageToLogits(nn.Module):
    """Normalise an image, predict it, and return the logits at its own size.

    Args:
        network: what predicts.
        inference: how; its windows become tensors.

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
        self.network = network
        self.inference = TraceableSlide(inference) if isinstance(inference, Slide) else inference

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        """Return class logits of an RGB image in [0, 1]."""
        return self.inference(self.network, renormalise(image))


class TraceableSlide(Inference):
    """Equal `Slide` up to rounding, without a loop over the windows, whose number follows from the image.

    All windows go through the network in one batch.

    Args:
        slide: gives window and stride.
    """

    def __init__(self, slide: Slide) -> None:
        self.window, self.stride = slide.window, slide.stride

    def _apply(self, network: Segmentor, predict: Predict, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        missing: list[Any] = [torch.sym_max(0, w - e) for w, e in zip(self.window, (height, width), strict=True)]
        padded = F.pad(image, (0, missing[1], 0, missing[0]))
        sides = (padded.shape[-2], padded.shape[-1])
        rows, columns = (_pixels(*axis) for axis in zip(sides, self.window, self.stride, strict=True))
        windows = padded[:, :, rows][..., columns].permute(2, 4, 0, 1, 3, 5).flatten(0, 2)
        counts = (rows.shape[0], columns.shape[0], image.shape[0])
        pieces: Tensor = predict(windows).unflatten(0, counts)  # type: ignore[no-untyped-call]
        stripes = _overlay(pieces.permute(1, 5, 0, 4, 2, 3).flatten(0, 1), columns, sides[1])
        canvas = _overlay(stripes.permute(1, 2, 0, 3, 4).flatten(0, 1), rows, sides[0])
        return canvas.permute(2, 3, 0, 1)[..., :height, :width]


def _pixels(extent: int, window: int, stride: int) -> Int[Tensor, "N w"]:
    """List the pixels of each window along one axis; the last window is moved inwards to fit."""
    last = extent - window
    starts = torch.arange((last + stride - 1) // stride + 1) * stride
    return starts.clamp(max=last)[:, None] + torch.arange(window)


def _overlay(pieces: Tensor, pixels: Tensor, extent: int) -> Tensor:
    """Average along the first dimension what falls on the same pixel."""
    where = pixels.flatten()
    total = pieces.new_zeros(extent, *pieces.shape[1:]).index_add(0, where, pieces)
    counts = pieces.new_zeros(extent).index_add(0, where, pieces.new_ones(where.shape[0]))
    return total / counts.view(-1, *(1 for _ in pieces.shape[1:]))
