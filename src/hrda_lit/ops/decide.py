"""From logits to labels of another size, one class at a time."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from hrda_lit.ops.finite import require_finite
from hrda_lit.ops.resize import resize


def decide(
    logits: Float[Tensor, "1 C h w"], size: tuple[int, int]
) -> tuple[UInt8[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Resample logits to `size` and return the best class and its softmax probability.

    Args:
        logits: of one image and at most 255 classes.
        size: (height, width) in pixels.

    Returns:
        Class ids, and probabilities in [0, 1].

    Raises:
        ValueError: if the logits are no numbers.
    """
    require_finite(logits)
    best = torch.full(size, -torch.inf, device=logits.device)
    total, label = torch.zeros_like(best), torch.zeros(size, dtype=torch.uint8, device=logits.device)
    # Class by class: all logits of a photograph of 50 megapixels would need 4 GB.
    for index, plane in enumerate(_planes(logits, size)):
        label[plane > best] = index
        higher = torch.maximum(best, plane)
        total = total * (best - higher).exp() + (plane - higher).exp()
        best = higher
    return label, 1 / total


def best(logits: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Int[Tensor, "B H W"]:
    """Resample logits to `size` and return the best class, as `argmax` does, in memory for few classes at a time.

    Args:
        logits: of at most 255 classes.
        size: (height, width) in pixels.

    Returns:
        Class ids.
    """
    if logits.shape[-2:] == size:
        return logits.argmax(dim=1)
    highest = torch.full((logits.shape[0], *size), -torch.inf, device=logits.device)
    label = torch.zeros(highest.shape, dtype=torch.long, device=logits.device)
    for index in range(logits.shape[1]):
        plane = resize(logits[:, index : index + 1].float(), size)[:, 0]
        label.masked_fill_(plane > highest, index)
        torch.maximum(highest, plane, out=highest)
    return label


def deciding(attention: Float[Tensor, "1 K h w"], label: Int[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """Take the attention of the class that won each pixel, which decided it.

    Args:
        attention: one map per class, or one for all.
        label: the class of each pixel.

    Returns:
        The attention at the size of the label.
    """
    planes = _planes(attention, (label.shape[0], label.shape[1]))
    if attention.shape[1] == 1:
        return next(planes)
    chosen = torch.zeros(label.shape, device=attention.device)
    for index, plane in enumerate(planes):
        chosen = torch.where(label == index, plane, chosen)
    return chosen


def _planes(view: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    return (resize(view[:, index : index + 1].float(), size)[0, 0] for index in range(view.shape[1]))
