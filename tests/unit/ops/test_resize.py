"""Bilinear resampling and the low resolution."""

import pytest
import torch

from hrda_lit.ops.resize import downscale, low_resolution_size, resize, resize_by_products


def bilinear(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Sample pixel by pixel, cell centres aligned, edges repeated."""
    height, width = image.shape
    out = torch.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = max((i + 0.5) * height / size[0] - 0.5, 0)
            x = max((j + 0.5) * width / size[1] - 0.5, 0)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, h = y - top, x - left
            out[i, j] = (1 - v) * ((1 - h) * image[top, left] + h * image[top, right])
            out[i, j] += v * ((1 - h) * image[bottom, left] + h * image[bottom, right])
    return out


@pytest.mark.parametrize("size", [(12, 10), (3, 5), (7, 4), (6, 20)])
def test_resize_is_bilinear(size: tuple[int, int]) -> None:
    image = torch.rand(6, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize(image[None, None], size)[0, 0], bilinear(image, size))


@pytest.mark.parametrize("size", [(12, 10), (3, 5), (7, 4), (48, 80), (1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_products_of_matrices_resize_forwards_and_backwards(size: tuple[int, int], layout: torch.memory_format) -> None:
    drawn = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 6, 10, generator=drawn).contiguous(memory_format=layout)
    weights = torch.rand(2, 3, *size, generator=drawn)
    ours, theirs = image.clone().requires_grad_(), image.clone().requires_grad_()
    made, expected = resize_by_products(ours, size), resize(theirs, size)
    torch.testing.assert_close(made, expected)
    (made * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_products_in_half_precision_are_as_near_as_the_operator() -> None:
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = resize(image, (64, 64))
    made, operator = (form(image.bfloat16(), (64, 64)).float() for form in (resize_by_products, resize))
    assert (made - exact).abs().max() < 2 * (operator - exact).abs().max()


def test_equal_size_is_the_same_tensor() -> None:
    image = torch.rand(1, 1, 4, 4)
    assert resize(image, (4, 4)) is image


def test_downscale_by_two_averages_blocks() -> None:
    image = torch.rand(2, 3, 8, 12)
    blocks = image.unflatten(2, (4, 2)).unflatten(4, (6, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(downscale(image, 2), blocks)


def test_scale_of_one_keeps_the_image() -> None:
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(downscale(image, 1), image)


def test_fractional_scale() -> None:
    assert low_resolution_size((12, 18), 1.5) == (8, 12)


@pytest.mark.parametrize("s_T", [0.5, 0, -1, float("nan")])
def test_scale_below_one_is_refused(s_T: float) -> None:
    with pytest.raises(ValueError, match=r"s_T=.* expected"):
        downscale(torch.rand(1, 3, 4, 4), s_T)


@pytest.mark.parametrize("size", [(5, 4), (4, 5)])
def test_size_that_does_not_come_out_whole_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"s_T = 2 gives .*must be whole; choose a crop"):
        downscale(torch.rand(1, 3, *size), 2)
