"""Colour jitter and blur."""

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor

from hrda_lit.ops.colour import Jitter, StrongAugmentation, augment, gaussian_blur, jitter
from hrda_lit.ops.normalise import denormalise, normalise, renormalise
from hrda_lit.ops.rng import generator


@pytest.fixture
def image() -> Tensor:
    made = torch.rand(3, 9, 13, generator=generator("image"))
    made[:, 0, 0], made[:, 0, 1] = 0.5, 0.0  # grey and black have no hue
    return made


def changes(*factors: float, order: tuple[int, ...] = (0, 1, 2, 3)) -> Jitter:
    return Jitter(torch.tensor(factors, dtype=torch.float32), torch.tensor(order))


def blur(image: Tensor, sigma: float, taps: tuple[int, int] = (11, 11)) -> Tensor:
    return gaussian_blur(image, torch.tensor(sigma), taps)


def by_pixel(image: Tensor, change: object) -> Tensor:
    """Apply `change` to (h, s, v) of each pixel, through Python's colorsys."""
    out = torch.empty_like(image)
    for i, j in np.ndindex(*image.shape[1:]):
        out[:, i, j] = torch.tensor(colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*image[:, i, j].tolist()))))
    return out


def test_neutral_factors_change_nothing(image: Tensor) -> None:
    torch.testing.assert_close(jitter(image, changes(1, 1, 1, 0)), image)


def test_brightness_is_added(image: Tensor) -> None:
    made = jitter(image, changes(1.2, 1, 1, 0, order=(0,)))
    torch.testing.assert_close(made, (image + 0.2).clamp(0, 1))


def test_contrast_multiplies_without_the_mean(image: Tensor) -> None:
    made = jitter(image, changes(1, 1.2, 1, 0, order=(1,)))
    torch.testing.assert_close(made, (image * 1.2).clamp(0, 1))


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_saturation(image: Tensor, factor: float) -> None:
    made = jitter(image, changes(1, 1, factor, 0, order=(2,)))
    expected = by_pixel(image, lambda h, s, v: (h, min(s * factor, 1), v))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("turns", [-0.2, 0.15])
def test_hue(image: Tensor, turns: float) -> None:
    made = jitter(image, changes(1, 1, 1, turns, order=(3,)))
    expected = by_pixel(image, lambda h, s, v: ((h + turns) % 1, s, v))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_order_matters(image: Tensor) -> None:
    first = jitter(image, changes(1.2, 0.8, 1, 0, order=(0, 1)))
    assert not torch.allclose(first, jitter(image, changes(1.2, 0.8, 1, 0, order=(1, 0))))


def dense_blur(image: np.ndarray, sigma: float, taps: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.exp(-0.5 * ((np.arange(n) - n // 2) / sigma) ** 2) for n in taps)
    kernel = np.outer(rows, columns) / (rows.sum() * columns.sum())
    half = (taps[0] // 2, taps[1] // 2)
    padded = np.pad(image, ((0, 0), (half[0], half[0]), (half[1], half[1])), mode="reflect")
    out = np.zeros_like(image)
    for c, i, j in np.ndindex(image.shape):
        out[c, i, j] = (padded[c, i : i + taps[0], j : j + taps[1]] * kernel).sum()
    return out


@pytest.mark.parametrize("taps", [(11, 11), (3, 7)])
def test_blur_is_a_dense_convolution(image: Tensor, taps: tuple[int, int]) -> None:
    made = blur(image, 1.1, taps)
    np.testing.assert_allclose(made.numpy(), dense_blur(image.double().numpy(), 1.1, taps), atol=1e-6)


def test_eleven_taps_are_enough(image: Tensor) -> None:
    large = torch.rand(3, 40, 40, generator=generator("large"))
    assert (blur(large, 1.15) - blur(large, 1.15, (39, 39))).abs().max() < 1e-4


def test_normalisation_and_its_inverse(image: Tensor) -> None:
    whole = (image * 255).round().to(torch.uint8)
    torch.testing.assert_close(denormalise(normalise(whole)), whole / 255)
    torch.testing.assert_close(renormalise(denormalise(image)), image, rtol=1e-4, atol=1e-5)
    assert normalise(torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)).abs().max() < 1e-6


def augmented(seed: int, **options: float) -> tuple[Tensor, Tensor]:
    images = normalise(255 * torch.rand(2, 3, 12, 12, generator=generator("batch")))
    return images, augment(images, StrongAugmentation(**options).draw(2, generator("augment", seed)))


def test_probability_zero_keeps_images() -> None:
    images, made = augmented(0, jitter_probability=0, blur_probability=0)
    assert torch.equal(images, made)


@pytest.mark.parametrize("kind", ["jitter_probability", "blur_probability"])
def test_batch_shares_the_decision_but_not_the_amount(kind: str) -> None:
    other = {"jitter_probability": 0, "blur_probability": 0} | {kind: 0.5}
    changed = []
    for seed in range(40):
        images, made = augmented(seed, **other)
        one, two = ((a != b).any().item() for a, b in zip(images, made, strict=True))
        assert one == two
        changed.append(one)
    assert 5 < sum(changed) < 35
    images = normalise(torch.full((2, 3, 12, 12), 90.0) + torch.arange(12) * 10)
    made = augment(images, StrongAugmentation(**(other | {kind: 1})).draw(2, generator("amount")))
    assert not torch.allclose(made[0], made[1], atol=1e-3)


def test_same_generator_same_augmentation() -> None:
    assert torch.equal(augmented(3)[1], augmented(3)[1])


def test_draws_fill_their_ranges() -> None:
    drawn = StrongAugmentation(strength=0.2, sigma=(0.15, 1.15)).draw(600, generator("factors"))
    excess = drawn.jitter.factors - torch.tensor([1, 1, 1, 0])
    assert excess.shape == (600, 4)
    assert -0.2 <= excess.min() < -0.19
    assert 0.19 < excess.amax(0).min() <= excess.max() <= 0.2 + 1e-6
    assert len({tuple(order.tolist()) for order in drawn.jitter.order}) == 24
    assert 0.15 <= drawn.sigma.min() < 0.17
    assert 1.13 < drawn.sigma.max() <= 1.15


def test_jittered_images_stay_in_range() -> None:
    for seed in range(10):
        made = denormalise(augmented(seed, jitter_probability=1)[1])
        assert made.min() > -1e-5
        assert made.max() < 1 + 1e-5


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"jitter_probability": 1.1}, "jitter_probability=1.1: expected"),
        ({"blur_probability": -0.1}, "blur_probability=-0.1: expected"),
        ({"strength": 0.6}, "strength=0.6: expected"),
        ({"strength": -0.1}, "strength=-0.1: expected"),
        ({"sigma": (0.0, 1.0)}, r"sigma\[0\]=0.0: expected"),
        ({"sigma": (2.0, 1.0)}, r"sigma=\[2.0, 1.0\]: expected"),
        ({"sigma": (1.0, float("inf"))}, r"sigma\[1\]=inf: expected"),
    ],
)
def test_out_of_range_arguments(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        StrongAugmentation(**options)
