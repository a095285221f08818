"""The multi-resolution segmentor of HRDA: context crop, detail crop, fusion."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hrda_lit.config.ranges import Ratio, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion, fuse
from hrda_lit.networks.heads import Head
from hrda_lit.networks.memory_saving import in_chunks
from hrda_lit.networks.segmentor import Output, Segmentor, TrainingOutput
from hrda_lit.ops.boxes import Box, DeviceBox, chunks, crop, crop_at, stitch
from hrda_lit.ops.resize import downscale, low_resolution_size, resize

SIZE_KEY = "network.detail.size (data.crop / s_T where it is null)"


class Context(NamedTuple):
    """Output of the low-resolution context crop: logits y_c, attention a_c and bottleneck features."""

    logits: Float[Tensor, "B C h w"]
    attention: Float[Tensor, "B K h w"]
    features: Float[Tensor, "B D hf wf"]


@check_arguments
class MultiResSegmentor(Segmentor):
    """See a large low-resolution context and a small high-resolution detail, and fuse them.

    Args:
        backbone: f^E, shared by both crops.
        head: f^S, shared by both crops.
        fusion: scale attention f^A and the weighted sum.
        num_classes: C.
        detail: the detail crop.
        lambda_d: weight of the detail loss in [0, 1]; the fused one weighs 1 - lambda_d.
        s_T: high resolution / low resolution, >= 1.

    Raises:
        ValueError: if lambda_d or s_T is out of range, or the detail crop does not lie on the grid.

    HRDA section 3.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        fusion: MultiResFusion,
        num_classes: int,
        detail: DetailCrop,
        lambda_d: Share = 0.1,
        s_T: Ratio = 2,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.fusion, self.num_classes = backbone, head, fusion, num_classes
        self.detail, self.lambda_d, self.s_T, self.overlap = detail, lambda_d, s_T, detail.overlap
        self.stride = backbone.strides[head.level] // head.finer
        self.multiple = alignment(self.stride, s_T)
        context = math.ceil(s_T * backbone.least)  # pixels that the smallest context covers
        height, width = detail.size
        self.least = (max(context, height), max(context, width))
        _check_multiple(SIZE_KEY, detail.size, self.multiple)
        if detail.overlap and any(extent % (2 * self.stride) for extent in detail.size):
            raise ValueError(
                f"{SIZE_KEY} of {detail.size} gives windows that overlap by half, off the grid of {self.stride} "
                f"pixels; choose a multiple of {2 * self.stride}, or set network.detail.overlap=false."
            )

    def draw(self, size: tuple[int, int], generator: torch.Generator) -> Int[Tensor, " 2"]:
        """Draw where the detail crop lies: (top, left) in pixels."""
        return DeviceBox.of(self.detail.draw(size, self.multiple, generator)).offset

    def forward(self, image: Float[Tensor, "B 3 H W"], drawn: Int[Tensor, " 2"]) -> TrainingOutput:
        """Return the fused output with weight 1 - lambda_d and the detail output with weight lambda_d.

        official: where the detail crop is all of the crop, the fused output would leave the context without a
        loss wherever the attention trusts the detail, so the context has its own, of weight lambda_d, which
        the fused one loses; it takes what the attention leaves of its logits (docs/official.md 25); here: the
        same.
        """
        box, low_resolution = DeviceBox(drawn, self.detail.size), self.context(image)
        features, detail_features = self.backbone.encode_all(low_resolution, self._blur(crop_at(image, box)))
        context = self._context(features, low_resolution)
        detail = self._on_grid(self.head(detail_features), self.detail.size)
        fused = self.fusion(context.logits, context.attention, detail, box.divided(self.stride), self.s_T)
        outputs = [Output(fused, None, 1 - self.lambda_d), Output(detail, box, self.lambda_d)]
        if self.detail.size != (image.shape[-2], image.shape[-1]):
            return TrainingOutput(outputs, context.features)
        left = Output((1 - context.attention) * context.logits, None, self.lambda_d)
        outputs = [outputs[0]._replace(weight=1 - 2 * self.lambda_d), left, outputs[1]]
        return TrainingOutput(outputs, context.features, detail_features[-1])

    def views(self, image: Float[Tensor, "B 3 H W"], smooth: bool = False) -> dict[str, Float[Tensor, "B K h w"]]:
        """Predict with detail windows over the whole image, which fade towards their borders if `smooth`.

        Returns:
            "fused" and "detail" at the output stride, "context" and "attention" s_T times coarser.

        HRDA section 3.4.
        """
        boxes = self.detail.windows((image.shape[-2], image.shape[-1]), self.overlap)
        # One batch of all windows: the teacher's BatchNorm takes its statistics from it
        # (docs/official.md 11).
        windows = self._blur(torch.cat([crop(image, box) for box in boxes]))
        low_resolution, count = self.context(image), self.windows_at_once
        features, detail_features = self._encode(low_resolution, windows)
        # First, for the running statistics of the head's BatchNorm.
        context = self._context(features, low_resolution)
        logits: Tensor = self.head(detail_features) if count is None else in_chunks(self.head, detail_features, count)
        return self._fuse(context, self._on_grid(logits, self.detail.size), boxes, smooth)

    def window_views(
        self, image: Float[Tensor, "B 3 H W"], boxes: list[Box], pixels: int, overlap: bool = True, smooth: bool = False
    ) -> Iterator[dict[str, Float[Tensor, "B K h w"]]]:
        """Yield the views of windows; a detail that several windows share is predicted once."""
        if self.training:
            # BatchNorm takes its statistics from all details of a window.
            yield from super().window_views(image, boxes, pixels, overlap, smooth)
            return
        inner, (height, width) = self.detail.windows(boxes[0].size, self.overlap and overlap), self.detail.size
        details = list(dict.fromkeys(part.moved(box) for box, part in product(boxes, inner)))
        batches = chunks(details, max(1, pixels // (height * width)))
        found: dict[Box, Tensor] = {}
        for box in boxes:
            parts = [part.moved(box) for part in inner]
            while not found.keys() >= set(parts):
                some = next(batches)
                logits = self._predict_details(torch.cat([crop(image, one) for one in some]))
                found |= zip(some, logits.chunk(len(some)), strict=True)
            low_resolution = self.context(crop(image, box))
            context = self._context(self.backbone(low_resolution), low_resolution)
            yield self._fuse(context, torch.cat([found[part] for part in parts]), inner, smooth)
            # Windows come row by row: none looks above the one before it any more.
            found = {part: logits for part, logits in found.items() if part.bottom > box.top}

    def heads(self) -> list[nn.Module]:
        """Return the decoder and, where it is learned, the scale attention."""
        attention = self.fusion.attention
        return [self.head, attention] if isinstance(attention, nn.Module) else [self.head]

    def context(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        """Return x_LR = zeta(x_HR, 1 / s_T)."""
        return downscale(image, self.s_T)

    def check_crop(self, size: tuple[int, int]) -> None:
        """Check that a context crop holds a detail crop and lies on the fusion's grid.

        Raises:
            ValueError: if it does not, is not divisible by s_T, or leaves the fused loss a weight below 0.
        """
        low_resolution_size(size, self.s_T)
        if self.detail.size == size and self.lambda_d > 0.5:
            raise ValueError(
                f"network.detail.size of {size} is all of data.crop, so the fused loss weighs 1 - 2 lambda_d, which "
                f"is below 0 with lambda_d={self.lambda_d:g}; lower lambda_d or network.detail.size."
            )
        _check_multiple("data.crop", size, self.multiple)
        self.draw(size, torch.Generator())
        for encoded in (low_resolution_size(size, self.s_T), self.detail.size):
            self._check_cells(encoded, 1)

    def _encode(self, context: Tensor, windows: Tensor) -> list[list[Tensor]]:
        if self.windows_at_once is None or not self.backbone.independent:
            return self.backbone.encode_all(context, windows)
        parts = [self.backbone(part) for part in torch.split(windows, self.windows_at_once)]
        return [self.backbone(context), [torch.cat(level) for level in zip(*parts, strict=True)]]

    def _on_grid(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Resample logits of an encoder with an input scale to cells that context and detail share."""
        if self.backbone.input_scale is None:
            return logits
        return resize(logits, (-(-size[0] // self.stride), -(-size[1] // self.stride)))

    def _blur(self, detail: Tensor) -> Tensor:
        size = (detail.shape[-2], detail.shape[-1])
        return resize(self.context(detail), size) if self.detail.blur else detail

    def _context(self, features: list[Tensor], image: Tensor) -> Context:
        logits = self._on_grid(self.head(features), (image.shape[-2], image.shape[-1]))
        return Context(logits, self.fusion.attend(features, (logits.shape[-2], logits.shape[-1])), features[-1])

    def _predict_details(self, details: Tensor) -> Tensor:
        logits = self._on_grid(self.head(self.backbone(self._blur(details))), self.detail.size)
        return logits.float()  # in which they are averaged

    def _fuse(self, context: Context, details: Tensor, boxes: list[Box], smooth: bool) -> dict[str, Tensor]:
        """Average the logits of detail windows that cover the image, and fuse them with its context."""
        cells = (max(box.bottom for box in boxes) // self.stride, max(box.right for box in boxes) // self.stride)
        # Not chunk(): ONNX cannot split a batch of unknown size.
        pieces = details.reshape(len(boxes), -1, *details.shape[1:])
        detail = stitch(pieces, [box.divided(self.stride) for box in boxes], cells, smooth)
        fused = fuse(context.logits, context.attention, detail)
        return {"fused": fused, "detail": detail, "context": context.logits, "attention": context.attention}


def alignment(stride: int, s_T: float) -> int:
    """Return the grid in pixels on which cells of context and detail begin: the lcm of o (stride) and s_T o.

    HRDA section 3.2.
    """
    return stride * Fraction(s_T).limit_denominator(64).numerator


def _check_multiple(what: str, size: tuple[int, ...], multiple: int) -> None:
    if any(extent % multiple for extent in size):
        raise ValueError(
            f"{what} of {tuple(size)} is not a multiple of {multiple}, the grid on which context and detail cells "
            f"meet; choose a multiple of {multiple}."
        )
