"""Photometric distortion of source crops, with which source-only networks and oracles are trained."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.config.ranges import Range, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.colour import hsv_to_rgb, rgb_to_hsv

HUES = 180  # of a full turn, so that a hue fits into 8 bits


@check_arguments
@dataclass(frozen=True)
class Distortion:
    """Change brightness, contrast, saturation and hue of an image, each or none of them.

    official: MMSegmentation's PhotoMetricDistortion; here: its definitions, down to 8 bits after each change.

    Args:
        probability: of each change, in [0, 1].
        brightness: largest number that is added, in [0, 255].
        contrast: largest relative change of all values, in [0, 1].
        saturation: largest relative change of S of HSV, in [0, 1].
        hue: largest shift in steps of 2 degrees, in [0, 90].

    SSD (Liu et al., ECCV 2016), section 3.6 of its release.
    """

    probability: Share = 0.5
    brightness: Annotated[float, Range(0, 255)] = 32
    contrast: Share = 0.5
    saturation: Share = 0.5
    hue: Annotated[int, Range(0, HUES // 2)] = 18

    def __call__(self, image: UInt8[Tensor, "3 H W"], generator: torch.Generator) -> UInt8[Tensor, "3 H W"]:
        """Distort RGB in [0, 255]."""
        chances = torch.tensor([self.probability] * 4 + [0.5])
        brighter, contrasted, saturated, turned, first = (torch.rand(5, generator=generator) < chances).tolist()
        brightness, contrast, saturation = (2 * torch.rand(3, generator=generator) - 1).tolist()
        # official: the largest shift is only drawn to the left.
        hue = int(torch.randint(-self.hue, max(self.hue, 1 - self.hue), (), generator=generator))
        if brighter:
            image = _bytes(image + self.brightness * brightness)
        if contrasted and first:
            image = _bytes(image * (1 + self.contrast * contrast))
        if saturated:
            image = _in_hsv(image, 0, 1 + self.saturation * saturation)
        if turned:
            image = _in_hsv(image, hue, 1)
        if contrasted and not first:
            image = _bytes(image * (1 + self.contrast * contrast))
        return image


def _in_hsv(image: Tensor, shift: int, factor: float) -> Tensor:
    """Shift the hue and multiply the saturation where both are whole numbers of 8 bits."""
    hue, saturation, value = rgb_to_hsv(image.float() / 255)
    steps = ((hue * HUES).round() + shift) % HUES
    grade = ((saturation * 255).round() * factor).clamp(0, 255).floor()
    return _bytes((hsv_to_rgb(steps / HUES, grade / 255, value) * 255).round())


def _bytes(image: Tensor) -> UInt8[Tensor, "3 H W"]:
    return image.clamp(0, 255).to(torch.uint8)
