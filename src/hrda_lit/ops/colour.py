"""Strong augmentation of mixed images: colour jitter and blur, as DACS defines them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.guards.ranges import Length, Positive, Range, Share
from hrda_lit.ops.checks import require_share
from hrda_lit.ops.normalise import denormalise, renormalise


@dataclass(frozen=True)
class JitterFactors:
    """One image's colour changes, applied in `order`, a permutation of 0..3 over the four fields.

    Args:
        brightness: factor around 1; its excess over 1 is added.
        contrast: factor around 1; multiplied, without subtracting the mean.
        saturation: factor around 1, on S of HSV.
        hue: shift in turns, around 0.
        order: which change comes first.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: tuple[int, ...] = (0, 1, 2, 3)


def jitter(image: Float[Tensor, "3 H W"], factors: JitterFactors) -> Float[Tensor, "3 H W"]:
    """Change the colours of one image.

    official: kornia 0.5.8, whose brightness is additive and whose contrast ignores the mean; newer versions
    and torchvision differ (docs/official.md 5); here: the official definitions.

    Args:
        image: RGB on 0..1.
        factors: what to change and in which order.

    Returns:
        RGB on 0..1.

    DACS section 3; DAFormer section 4.1.
    """
    changes = (
        lambda x: (x + factors.brightness - 1).clamp(0, 1),
        lambda x: (x * factors.contrast).clamp(0, 1),
        lambda x: _saturate(x, factors.saturation),
        lambda x: _shift_hue(x, factors.hue),
    )
    for index in factors.order:
        image = changes[index](image)
    return image


def _saturate(image: Tensor, factor: float) -> Tensor:
    hue, saturation, value = _rgb_to_hsv(image)
    return _hsv_to_rgb(hue, (saturation * factor).clamp(0, 1), value)


def _shift_hue(image: Tensor, turns: float) -> Tensor:
    hue, saturation, value = _rgb_to_hsv(image)
    return _hsv_to_rgb((hue + turns) % 1.0, saturation, value)


def _rgb_to_hsv(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = image
    value, brightest = image.max(dim=0)
    chroma = value - image.amin(dim=0)
    safe = torch.where(chroma > 0, chroma, 1.0)
    sextant = torch.stack([(green - blue) / safe, (blue - red) / safe + 2, (red - green) / safe + 4])
    hue = sextant.gather(0, brightest.unsqueeze(0)).squeeze(0) / 6 % 1.0
    return hue, chroma / value.clamp(min=1e-8), value


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    def channel(offset: int) -> Tensor:
        k = (offset + hue * 6) % 6
        return value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([channel(5), channel(3), channel(1)])


def gaussian_blur(
    image: Float[Tensor, "3 H W"], sigma: float, taps: tuple[int, int] = (11, 11)
) -> Float[Tensor, "3 H W"]:
    """Blur one image with a separable Gaussian, reflecting at the border.

    official: 103 x 103 taps for a crop of 1024; here: 11, because 11 taps hold more than 99.99 % of the
    weight at the largest sigma, 1.15 (docs/official.md 6).

    Args:
        image: any range.
        sigma: standard deviation in pixels, > 0.
        taps: odd (vertical, horizontal) kernel size.

    Returns:
        The blurred image.

    DACS section 3.
    """
    rows, columns = (_gaussian(sigma, count, image) for count in taps)
    padding = [taps[1] // 2, taps[1] // 2, taps[0] // 2, taps[0] // 2]
    padded = F.pad(image.unsqueeze(1), padding, mode="reflect")
    return F.conv2d(F.conv2d(padded, rows.view(1, 1, -1, 1)), columns.view(1, 1, 1, -1)).squeeze(1)


def _gaussian(sigma: float, taps: int, like: Tensor) -> Tensor:
    position = torch.arange(taps, device=like.device, dtype=like.dtype) - taps // 2
    weight = torch.exp(-0.5 * (position / sigma) ** 2)
    return weight / weight.sum()


@dataclass(frozen=True)
class StrongAugmentation:
    """Colour jitter and blur of the mixed images.

    official: whether to jitter and to blur is drawn once for the batch, how much for each image
    (docs/official.md 4); here: the same.

    Args:
        jitter_probability: in [0, 1].
        strength: largest change of brightness, contrast, saturation and hue, >= 0.
        blur_probability: in [0, 1].
        sigma: smallest and largest standard deviation of the blur in pixels, > 0.

    Raises:
        ValueError: if a probability or a range is out of bounds.
    """

    jitter_probability: Share = 0.8
    strength: Annotated[float, Range(0, 0.5)] = 0.2
    blur_probability: Share = 0.5
    sigma: Annotated[Sequence[Positive], Length(2)] = (0.15, 1.15)

    def __post_init__(self) -> None:
        require_share("jitter_probability", self.jitter_probability)
        require_share("blur_probability", self.blur_probability)
        if not 0 <= self.strength <= 0.5:
            raise ValueError(f"strength of the colour jitter must lie in [0, 0.5], got {self.strength}.")
        if not 0 < self.sigma[0] <= self.sigma[1] or math.isinf(self.sigma[1]):
            raise ValueError(f"sigma of the blur must be 0 < smallest <= largest, got {list(self.sigma)}.")

    def __call__(self, images: Float[Tensor, "B 3 H W"], generator: torch.Generator) -> Float[Tensor, "B 3 H W"]:
        """Augment normalised images.

        Args:
            images: network inputs.
            generator: source of randomness (CPU).

        Returns:
            Network inputs.
        """
        jitters, blurs = (torch.rand(2, generator=generator) < self._probabilities()).tolist()
        return torch.stack([self._one(image, jitters, blurs, generator) for image in images])

    def _probabilities(self) -> Tensor:
        return torch.tensor([self.jitter_probability, self.blur_probability])

    def _one(self, image: Tensor, jitters: bool, blurs: bool, generator: torch.Generator) -> Tensor:
        if jitters:
            image = renormalise(jitter(denormalise(image), self._draw_factors(generator)))
        if blurs:
            low, high = self.sigma
            image = gaussian_blur(image, low + (high - low) * float(torch.rand((), generator=generator)))
        return image

    def _draw_factors(self, generator: torch.Generator) -> JitterFactors:
        change = (self.strength * (2 * torch.rand(4, generator=generator) - 1)).tolist()
        order = tuple(torch.randperm(4, generator=generator).tolist())
        return JitterFactors(1 + change[0], 1 + change[1], 1 + change[2], change[3], order)
