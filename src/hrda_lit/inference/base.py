"""The interface of all inferences: predict a whole image of any size."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.finite import require_finite
from hrda_lit.ops.logits import best
from hrda_lit.ops.resize import resize

FUSED = "fused"  # the view that is the prediction
ATTENTION = "attention"  # the one view that is not made of class logits
Views = Mapping[str, Tensor]
Average = Literal["logits", "probabilities"]  # what of several predictions is averaged
# Makes one tensor, of a size in pixels, of the views of an image or a window.
Predict = Callable[[Views, tuple[int, int]], Tensor]


class Original(NamedTuple):
    """An image before it was fitted: resized to each of `Inference.scales`, and the size of its label."""

    scaled: Sequence[Float[Tensor, "B 3 h w"]]
    size: tuple[int, int]


class Inference(ABC):
    """Predict an image of any size.

    Attributes:
        bf16: whether the network computes under autocast to bfloat16; logits are averaged in float32.
        scales: scales at which the image is predicted besides its fitted size; none for most.
    """

    bf16: bool = False
    scales: tuple[float, ...] = ()

    def __call__(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Return the class logits of every pixel of the image, or of its label where `original` is used.

        Args:
            network: network to predict with.
            image: image as fitted into the box of its dataset.
            original: same image resized from its file, which inferences with `scales` use.
        """
        return self._apply(network, fused, image)

    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Return the parts of the prediction at its size, see `Segmentor.views`."""
        stack = Stack()
        return stack.split(self._apply(network, stack, image))

    def strips(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], every: bool
    ) -> Iterator[tuple[int, str, Float[Tensor, "B K h W"]]]:
        """Predict rows from top to bottom as they are finished, so that not all logits need memory.

        Args:
            network: network to predict with.
            image: normalised image.
            every: whether to return all views that are class logits, or the fused one alone.

        Yields:
            The first row, the name of a view, and its rows.
        """
        views = self.views(network, image) if every else {FUSED: self(network, image)}
        yield from ((0, name, view) for name, view in views.items() if name != ATTENTION)

    def _computing(self, image: Tensor) -> AbstractContextManager[Any]:
        return torch.autocast(image.device.type, torch.bfloat16) if self.bf16 else nullcontext()

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


def fused(views: Views, size: tuple[int, int]) -> Tensor:
    """Make the prediction of the views, see `Predict`."""
    return sized(views[FUSED], size)


def sized(view: Float[Tensor, "B K h w"], size: tuple[int, int]) -> Float[Tensor, "B K H W"]:
    """Resample a view to a size in pixels, in float32 where it is bfloat16."""
    return resize(view.float() if view.dtype == torch.bfloat16 else view, size)


def as_logits(probabilities: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Return logits of just these probabilities: their logarithms."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


class Stack:
    """Lay views on one another, and take them apart again."""

    def __init__(self) -> None:
        self.widths: dict[str, int] = {}

    def __call__(self, views: Views, size: tuple[int, int]) -> Tensor:
        """Bring views to one size and stack their channels."""
        self.widths = {name: view.shape[1] for name, view in views.items()}
        return torch.cat([sized(view, size) for view in views.values()], dim=1)

    def split(self, stacked: Tensor) -> dict[str, Tensor]:
        """Return what was stacked, by name."""
        return dict(zip(self.widths, torch.split(stacked, [*self.widths.values()], dim=1), strict=True))


def windowed(make: Callable[..., Inference], window: Sequence[int]) -> Inference:
    """Make an inference, with windows of this size where a partial has none yet."""
    return make(window=getattr(make, "keywords", {}).get("window") or window)


def predict_labels(
    inference: Inference,
    network: Segmentor,
    image: Float[Tensor, "1 3 h w"],
    size: tuple[int, int],
    original: Original | None,
    every: bool,
) -> dict[str, UInt8[Tensor, "H W"]]:
    """Predict the train ids of an image by view, row by row where its label has the same size.

    Args:
        inference: how whole images are predicted.
        network: network to predict with.
        image: normalised image as fitted into the box of its dataset.
        size: (height, width) of the label.
        original: same image resized from its file, see `Inference`.
        every: whether context and detail are predicted too.

    Raises:
        ValueError: if a logit is NaN or infinite.
    """
    labels: dict[str, Tensor] = {}
    if original is None and image.shape[-2:] == size:
        for top, name, rows in inference.strips(network, image, every):
            require_finite(rows)
            if name not in labels:
                labels[name] = torch.empty(size, dtype=torch.uint8, device=image.device)
            labels[name][top : top + rows.shape[-2]] = rows.argmax(dim=1)[0]
        return labels
    views = inference.views(network, image, original) if every else {FUSED: inference(network, image, original)}
    for name, logits in views.items():
        if name != ATTENTION:
            require_finite(logits)
            labels[name] = best(logits, size)[0]
    return labels
