"""Weak colour jitter of clean images, with the definitions of torchvision's ColorJitter."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hrda_lit.config.ranges import Range, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.backends import choose
from hrda_lit.ops.colour import Jitter, changes_in_order, draw_jitter, hsv_to_rgb, rgb_to_hsv
from hrda_lit.ops.normalise import denormalise, renormalise

GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2


class WeakDraws(NamedTuple):
    """Which images of a batch are changed, and how; all four kinds of change, in a random order."""

    decisions: Bool[Tensor, " B"]
    jitter: Jitter


@check_arguments
@dataclass(frozen=True)
class WeakJitter:
    """Change brightness, contrast, saturation and hue of each image by itself.

    Args:
        probability: share of images that are changed, in [0, 1].
        brightness: largest relative change of all values, in [0, 1].
        contrast: largest relative change of the distance to the mean grey, in [0, 1].
        saturation: largest relative change of the distance to grey, in [0, 1].
        hue: largest shift in turns, in [0, 0.5].

    VFM-UDA, released code.
    """

    probability: Share = 0.9
    brightness: Share = 32 / 255
    contrast: Share = 0.5
    saturation: Share = 0.5
    hue: Annotated[float, Range(0, 0.5)] = 18 / 360

    def draw(self, count: int, generator: torch.Generator) -> WeakDraws:
        """Draw how to change a batch of `count` images, by a generator on the CPU."""
        decisions = torch.rand(count, generator=generator) < self.probability
        largest = torch.tensor([self.brightness, self.contrast, self.saturation, self.hue])
        return WeakDraws(decisions, draw_jitter(largest, count, generator))


def weaken(images: Float[Tensor, "B 3 H W"], drawn: WeakDraws | None) -> Float[Tensor, "B 3 H W"]:
    """Jitter normalised images as drawn, on their device; None leaves them unchanged."""
    if drawn is None:
        return images
    weakened = []
    for image, decision, factors, order in zip(images, drawn.decisions, *drawn.jitter, strict=True):
        weakened.append(_weaken(image, decision, Jitter(factors, order)))
    return torch.stack(weakened)


def _weaken(image: Tensor, decision: Tensor, drawn: Jitter) -> Tensor:
    return choose(decision, lambda: renormalise(jitter_weakly(denormalise(image), drawn)), lambda: image)


def jitter_weakly(image: Float[Tensor, "3 H W"], drawn: Jitter) -> Float[Tensor, "3 H W"]:
    """Change the colours of one RGB image in [0, 1] as torchvision does."""
    for kind, factors in changes_in_order(drawn):
        image = choose(kind < 3, partial(_blend, image, factors), partial(_shift_hue, image, factors[3]))
    return image


def _blend(image: Tensor, factors: Tensor) -> Tensor:
    """Blend with black, with the mean grey, or with each pixel's grey; all but one factor are 1."""
    brightness, contrast, saturation, _ = factors.unbind()
    red, green, blue = image
    grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    contrasted = (contrast - 1) * (image - grey.mean())
    saturated = (saturation - 1) * (image - grey)
    changed: Tensor = brightness * image + contrasted + saturated
    return changed.clamp(0, 1)


def _shift_hue(image: Tensor, shift: Tensor) -> Tensor:
    hue, saturation, value = rgb_to_hsv(image)
    return hsv_to_rgb((hue + shift) % 1.0, saturation, value)
