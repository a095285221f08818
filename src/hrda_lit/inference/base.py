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
from hrda_lit.ops.logits import best_classes
from hrda_lit.ops.resize import resize

FUSED = "fused"  # the view that is the prediction
ATTENTION = "attention"  # the one view that is not made of class logits
Views = Mapping[str, Tensor]
Average = Literal["logits", "probabilities"]  # what of several predictions is averaged


class Original(NamedTuple):
    """An image resized from its file to each of `Inference.scales`, and the size of its label."""

    scaled: Sequence[Float[Tensor, "B 3 h w"]]
    size: tuple[int, int]


class Inference(ABC):
    """Predict an image of any size."""

    bf16: bool = False  # whether the network computes under autocast; logits are averaged in float32
    scales: tuple[float, ...] = ()  # at which the image is predicted besides its fitted size
    network_size: tuple[int, int] | None = None  # (height, width) in pixels; None if it depends on the image

    def __call__(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Return the class logits of every pixel, see `views`."""
        return self.views(network, image, original, every=False)[FUSED]

    @abstractmethod
    def views(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], original: Original | None = None, every: bool = True
    ) -> dict[str, Float[Tensor, "B K h w"]]:
        """Return the parts of the prediction, see `Segmentor.views`, at the image's size.

        Args:
            network: network to predict with.
            image: normalised image, fitted into the box of its dataset.
            original: same image resized from its file; an inference with `scales` predicts this one instead,
                at the size of the label.
            every: whether to return all views, or only the fused one.
        """

    def strips(
        self, network: Segmentor, image: Float[Tensor, "B 3 H W"], every: bool
    ) -> Iterator[tuple[int, str, Float[Tensor, "B K h W"]]]:
        """Yield (first row, name of a view, its rows) as they are finished, see `views`.

        So predictions of many classes do not need memory for the logits of a whole image.
        """
        for name, view in self.views(network, image, every=every).items():
            yield 0, name, view

    def check(self, network: Segmentor) -> None:  # noqa: B027  a whole image is padded as the network needs it
        """Raise a ValueError if the network cannot be applied this way."""

    def narrowed(self, network: Segmentor, size: tuple[int, int]) -> "Inference":
        """Return the same for an image of `size`, with windows no larger than the network needs for it."""
        return self

    def _autocast(self, image: Tensor) -> AbstractContextManager[Any]:
        return torch.autocast(image.device.type, torch.bfloat16) if self.bf16 else nullcontext()


def sized(view: Float[Tensor, "B K h w"], size: tuple[int, int]) -> Float[Tensor, "B K H W"]:
    """Resample a view to a size in pixels, in float32 where it is bfloat16."""
    return resize(view.float() if view.dtype == torch.bfloat16 else view, size)


def to_scores(view: Float[Tensor, "B K H W"], name: str, average: Average) -> Float[Tensor, "B K H W"]:
    """Return what is averaged of a view of this name."""
    return view.softmax(dim=1) if average == "probabilities" and name != ATTENTION else view


def to_logits(mean: Float[Tensor, "B K H W"], name: str, average: Average) -> Float[Tensor, "B K H W"]:
    """Return an average of `to_scores` as logits: of probabilities, their logarithms."""
    if average == "probabilities" and name != ATTENTION:
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
    return mean


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
    """Predict the train ids of an image at the `size` of its label by view, see `Inference.views`.

    Raises:
        ValueError: if a logit is NaN or infinite.
    """
    labels: dict[str, Tensor] = {}
    if original is None and image.shape[-2:] == size:
        for top, name, rows in inference.strips(network, image, every):
            if name != ATTENTION:
                require_finite(rows)
                if name not in labels:
                    labels[name] = torch.empty(size, dtype=torch.uint8, device=image.device)
                labels[name][top : top + rows.shape[-2]] = rows.argmax(dim=1)[0]
        return labels
    for name, logits in inference.views(network, image, original, every).items():
        if name != ATTENTION:
            require_finite(logits)
            labels[name] = best_classes(logits, size)[0]
    return labels
