"""The interface of all networks, and the single-scale one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hrda_lit.config.ranges import Ratio
from hrda_lit.networks.backbone import Backbone
from hrda_lit.ops.boxes import Box, DeviceBox, chunks, crop
from hrda_lit.ops.resize import resize


class Output(NamedTuple):
    """Logits, where they lie in the input image (None: all over it), and how much their loss counts."""

    logits: Float[Tensor, "B C h w"]
    box: DeviceBox | None
    weight: float


class TrainingOutput(NamedTuple):
    """The result of a training forward.

    Attributes:
        outputs: outputs to supervise.
        features: bottleneck features F_theta of the image as `Segmentor.context` gives it.
        detail_features: those of the image itself, where the detail crop covers all of it; else None.
    """

    outputs: list[Output]
    features: Float[Tensor, "B D h w"]
    detail_features: Float[Tensor, "B D H W"] | None = None


class Segmentor(nn.Module, ABC):
    """A segmentation network.

    Attributes:
        backbone: the encoder f^E.
        num_classes: C.
        downscale: factor by which images are downscaled at loading: s_T for a low-resolution network, else 1.
        s_T: factor by which the network itself downscales them for its context; 1 without one.
        multiple: pixels of which the sides of an image must be multiples.
        windows_at_once: number of windows that `views` predicts at once, equal up to rounding; None for all.
        overlap: whether the detail windows of `views` overlap, of a network that has some.
        least: (height, width) in pixels of the smallest image that can be predicted.
    """

    backbone: Backbone
    num_classes: int
    downscale: float = 1
    s_T: float = 1  # noqa: N815  the name of the paper
    multiple: int = 1
    windows_at_once: int | None = None
    overlap: bool = True
    least: tuple[int, int] = (1, 1)

    @abstractmethod
    def draw(self, size: tuple[int, int], generator: torch.Generator) -> Int[Tensor, " n"]:
        """Draw the randomness of a training forward, e.g. the offset of the detail crop, on the CPU."""

    @abstractmethod
    def forward(self, image: Float[Tensor, "B 3 H W"], drawn: Int[Tensor, " n"]) -> TrainingOutput:
        """Return the outputs to supervise; `drawn` comes from `draw`, on the device of the image."""

    @abstractmethod
    def views(self, image: Float[Tensor, "B 3 H W"], smooth: bool = False) -> dict[str, Float[Tensor, "B K h w"]]:
        """Predict "fused" logits of a whole image at output stride, and their parts; see `stitch`."""

    def window_views(
        self, image: Float[Tensor, "B 3 H W"], boxes: list[Box], pixels: int, overlap: bool = True, smooth: bool = False
    ) -> Iterator[dict[str, Float[Tensor, "B K h w"]]]:
        """Yield the `views` of windows of one size, one after the other, equal up to rounding.

        Args:
            image: normalised images.
            boxes: windows.
            pixels: number of pixels of each image that are predicted at once; at least one window is.
            overlap: whether detail windows overlap.
            smooth: whether these fade towards their borders, see `stitch`.
        """
        height, width = boxes[0].size
        for some in chunks(boxes, max(1, pixels // (height * width))):
            views = self.views(torch.cat([crop(image, box) for box in some]), smooth)
            parts = {name: view.chunk(len(some)) for name, view in views.items()}
            for index in range(len(some)):
                yield {name: part[index] for name, part in parts.items()}

    @abstractmethod
    def context(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        """Return the image as the encoder of the bottleneck features sees it."""

    @abstractmethod
    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if training crops of `size` (height, width) cannot be processed."""

    def heads(self) -> list[nn.Module]:
        """Return the decoders, whose activations may be computed again."""
        return []

    def check_window(self, key: str, size: tuple[int, int]) -> None:
        """Raise a ValueError if windows of `size` (height, width), which `key` sets, cannot be predicted."""
        if any(extent % self.multiple for extent in size):
            raise ValueError(
                f"{key} of {tuple(size)} is not a multiple of {self.multiple} pixels, as this network needs; "
                f"correct {key}."
            )
        if any(extent < least for extent, least in zip(size, self.least, strict=True)):
            raise ValueError(
                f"{key} of {tuple(size)} is smaller than {self.least}, the smallest image of this network; raise {key}."
            )

    def padded_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) to which an image of `size` must be padded to be predicted."""
        height, width = (max(pair) for pair in zip(size, self.least, strict=True))
        return height + -height % self.multiple, width + -width % self.multiple

    def _check_cells(self, size: tuple[int, int], cells: int) -> None:
        least = cells * max(self.backbone.strides)
        if min(size) < least:
            raise ValueError(
                f"the encoder would see a crop of {tuple(size)}, smaller than ({least}, {least}), {cells} cells "
                "of its coarsest level; raise data.crop or lower s_T."
            )

    def predict(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        """Predict class logits for every pixel of an image."""
        height, width = image.shape[-2:]
        return resize(self.views(image)["fused"], (height, width))


class SingleScaleSegmentor(Segmentor):
    """Encoder and decoder on one resolution: g_theta of DAFormer.

    Args:
        backbone: f^E.
        head: f^S.
        num_classes: C.
        downscale: see `Segmentor`; > 1 makes it DAFormer's low-resolution network.

    DAFormer section 3.1.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, num_classes: int, downscale: Ratio = 1) -> None:
        super().__init__()
        self.backbone, self.head, self.num_classes, self.downscale = backbone, head, num_classes, downscale
        least = getattr(backbone, "least", 1)  # an encoder of someone else's may not know
        self.least = (least, least)

    def draw(self, size: tuple[int, int], generator: torch.Generator) -> Int[Tensor, " 0"]:
        """Draw nothing."""
        return torch.zeros(0, dtype=torch.long)

    def forward(self, image: Float[Tensor, "B 3 H W"], drawn: Int[Tensor, " 0"]) -> TrainingOutput:
        """Return one output that covers the image."""
        features = self.backbone(image)
        return TrainingOutput([Output(self.head(features), None, 1.0)], features[-1])

    def views(self, image: Float[Tensor, "B 3 H W"], smooth: bool = False) -> dict[str, Float[Tensor, "B K h w"]]:
        """Return the logits as "fused"."""
        return {"fused": self.head(self.backbone(image))}

    def context(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        """Return the image itself."""
        return image

    def heads(self) -> list[nn.Module]:
        """Return the decoder."""
        return [self.head]

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if a crop is smaller than two cells of the coarsest level."""
        self._check_cells(size, 2)  # of a single value BatchNorm has no variance
