"""Strong augmentation of mixed images: colour jitter and blur, as DACS defines them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.config.ranges import Length, Positive, Range, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.backends import choose
from hrda_lit.ops.normalise import denormalise, renormalise

KINDS = ("brightness", "contrast", "saturation", "hue")


class Jitter(NamedTuple):
    """Colour changes of one image or, with a leading dimension, of several.

    Attributes:
        factors: of `KINDS`: brightness (a factor whose excess over 1 is added), contrast (multiplied, without
            subtracting the mean), saturation (multiplied, on S of HSV), and hue (a shift in turns).
        order: indices into `KINDS`, which change comes first.
    """

    factors: Float[Tensor, "*B 4"]
    order: Int[Tensor, "*B n"]


def draw_jitter(largest: float | Tensor, count: int, generator: torch.Generator) -> Jitter:
    """Draw changes of `count` images, uniform up to the largest change of each of `KINDS`."""
    changes = largest * (2 * torch.rand(count, len(KINDS), generator=generator) - 1)
    orders = torch.stack([torch.randperm(len(KINDS), generator=generator) for _ in range(count)])
    return Jitter(changes + torch.tensor([1.0, 1, 1, 0]), orders)


def jitter(image: Float[Tensor, "3 H W"], drawn: Jitter) -> Float[Tensor, "3 H W"]:
    """Change the colours of one image.

    official: kornia 0.5.8, whose brightness is additive and whose contrast ignores the mean; newer versions
    and torchvision differ (docs/official.md 5); here: the official definitions.

    Args:
        image: RGB in [0, 1], as the result is.
        drawn: factors and order of the changes.

    DACS section 3; DAFormer section 4.1.
    """
    for kind, factors in changes_in_order(drawn):
        change_hsv = partial(_change_hsv, image, factors, kind == 2)
        image = choose(kind < 2, partial(_change_rgb, image, factors), change_hsv)
    return image


def changes_in_order(drawn: Jitter) -> Iterator[tuple[Int[Tensor, ""], Float[Tensor, "4"]]]:
    """Yield the index of each kind of change, with factors that change nothing else."""
    kinds = torch.arange(len(KINDS), device=drawn.order.device)
    for kind in drawn.order.unbind():
        yield kind, torch.where(kinds == kind, drawn.factors, kinds < 3)  # 1, 1, 1, 0 change nothing


def _change_rgb(image: Tensor, factors: Tensor) -> Tensor:
    return (image * factors[1] + (factors[0] - 1)).clamp(0, 1)


def _change_hsv(image: Tensor, factors: Tensor, saturates: Tensor) -> Tensor:
    hue, saturation, value = rgb_to_hsv(image)
    # A colour outside 0..1 may have a saturation outside 0..1, which a change of hue keeps.
    saturation = torch.where(saturates, (saturation * factors[2]).clamp(0, 1), saturation)
    return hsv_to_rgb((hue + factors[3]) % 1.0, saturation, value)


def rgb_to_hsv(
    image: Float[Tensor, "3 H W"],
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Return hue in turns, saturation and value of an image on 0..1."""
    red, green, blue = image
    value, brightest = image.max(dim=0)
    chroma = value - image.amin(dim=0)
    safe = torch.where(chroma > 0, chroma, 1.0)
    sextant = torch.stack([(green - blue) / safe, (blue - red) / safe + 2, (red - green) / safe + 4])
    hue = sextant.gather(0, brightest.unsqueeze(0)).squeeze(0) / 6 % 1.0
    return hue, chroma / value.clamp(min=1e-8), value


def hsv_to_rgb(
    hue: Float[Tensor, "H W"], saturation: Float[Tensor, "H W"], value: Float[Tensor, "H W"]
) -> Float[Tensor, "3 H W"]:
    """Invert `rgb_to_hsv`."""

    def channel(offset: int) -> Tensor:
        k = (offset + hue * 6) % 6
        return value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([channel(5), channel(3), channel(1)])


def gaussian_blur(
    image: Float[Tensor, "3 H W"], sigma: Float[Tensor, ""], taps: tuple[int, int] = (11, 11)
) -> Float[Tensor, "3 H W"]:
    """Blur one image with a separable Gaussian, reflecting at the border.

    official: 103 x 103 taps for a crop of 1024; here: 11, because 11 taps hold more than 99.99 % of the
    weight at the largest sigma, 1.15 (docs/official.md 6).

    Args:
        image: RGB of any range.
        sigma: standard deviation in pixels, > 0.
        taps: odd (vertical, horizontal) kernel size.

    DACS section 3.
    """
    rows, columns = (_gaussian(sigma, count, image) for count in taps)
    padding = [taps[1] // 2, taps[1] // 2, taps[0] // 2, taps[0] // 2]
    padded = F.pad(image.unsqueeze(1), padding, mode="reflect")
    return F.conv2d(F.conv2d(padded, rows.view(1, 1, -1, 1)), columns.view(1, 1, 1, -1)).squeeze(1)


def _gaussian(sigma: Tensor, taps: int, like: Tensor) -> Tensor:
    position = torch.arange(taps, device=like.device, dtype=like.dtype) - taps // 2
    weight = torch.exp(-0.5 * (position / sigma) ** 2)
    return weight / weight.sum()


class Augmentation(NamedTuple):
    """Random choices for a batch.

    Attributes:
        decisions: whether to jitter and whether to blur, the same for all images.
        jitter: colour changes of each image.
        sigma: standard deviation of the blur of each image in pixels.
    """

    decisions: Bool[Tensor, " 2"]
    jitter: Jitter
    sigma: Float[Tensor, " B"]


@check_arguments
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
        ValueError: if the smallest sigma exceeds the largest.
    """

    jitter_probability: Share = 0.8
    strength: Annotated[float, Range(0, 0.5)] = 0.2
    blur_probability: Share = 0.5
    sigma: Annotated[Sequence[Positive], Length(2)] = (0.15, 1.15)

    def __post_init__(self) -> None:
        if self.sigma[0] > self.sigma[1]:
            raise ValueError(f"sigma={list(self.sigma)}: expected [smallest, largest]; exchange them.")

    def draw(self, count: int, generator: torch.Generator) -> Augmentation:
        """Draw how to augment a batch of `count` images, by a generator on the CPU."""
        probabilities = torch.tensor([self.jitter_probability, self.blur_probability])
        decisions = torch.rand(2, generator=generator) < probabilities
        changes = draw_jitter(self.strength, count, generator)
        low, high = self.sigma
        sigmas = low + (high - low) * torch.rand(count, generator=generator)
        return Augmentation(decisions, changes, sigmas)


def augment(images: Float[Tensor, "B 3 H W"], drawn: Augmentation) -> Float[Tensor, "B 3 H W"]:
    """Augment normalised images as drawn; both lie on one device."""
    augmented = []
    for image, factors, order, sigma in zip(images, *drawn.jitter, drawn.sigma, strict=True):
        augmented.append(_augment(image, drawn.decisions, Jitter(factors, order), sigma))
    return torch.stack(augmented)


def _augment(image: Tensor, decisions: Tensor, drawn: Jitter, sigma: Tensor) -> Tensor:
    jitters, blurs = decisions.unbind()
    changed = choose(jitters, lambda: renormalise(jitter(denormalise(image), drawn)), lambda: image)
    return choose(blurs, lambda: gaussian_blur(changed, sigma), lambda: changed)
