"""Weak jitter is torchvision's ColorJitter, drawn for each image."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from hrda_lit.ops.colour import Jitter
from hrda_lit.ops.normalise import denormalise, renormalise
from hrda_lit.ops.rng import generator
from hrda_lit.ops.weak_jitter import WeakJitter, jitter_weakly, weaken

CHANGES = {
    0: lambda image, factor: tvf.adjust_brightness(image, factor),
    1: lambda image, factor: tvf.adjust_contrast(image, factor),
    2: lambda image, factor: tvf.adjust_saturation(image, factor),
    3: lambda image, factor: tvf.adjust_hue(image, factor),
}


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
@pytest.mark.parametrize("factors", [[1.1, 1.4, 0.6, 0.05], [0.9, 0.5, 1.5, -0.04]])
def test_equals_torchvision(order: list[int], factors: list[float]) -> None:
    image = torch.rand(3, 8, 9, generator=generator(0))
    expected = image
    for kind in order:
        expected = CHANGES[kind](expected, factors[kind])
    torch.testing.assert_close(jitter_weakly(image, Jitter(torch.tensor(factors), torch.tensor(order))), expected)


def test_each_image_is_drawn_by_itself() -> None:
    drawn = WeakJitter().draw(2000, generator(0))
    assert float(drawn.decisions.float().mean()) == pytest.approx(0.9, abs=0.02)
    spread = (drawn.jitter.factors - torch.tensor([1.0, 1, 1, 0])).abs().amax(0)
    torch.testing.assert_close(spread, torch.tensor([32 / 255, 0.5, 0.5, 0.05]), rtol=0.01, atol=0)
    assert len({tuple(order.tolist()) for order in drawn.jitter.order}) == 24


def test_only_the_chosen_images_change() -> None:
    images = renormalise(torch.rand(4, 3, 8, 8, generator=generator(0)))
    drawn = WeakJitter(probability=0.5).draw(4, generator(3))
    changed = weaken(images, drawn)
    assert [not torch.equal(x, y) for x, y in zip(changed, images, strict=True)] == drawn.decisions.tolist()
    assert len(set(drawn.decisions.tolist())) == 2
    assert float(denormalise(changed).min()) + 1e-5 >= 0
    assert weaken(images, None) is images


@pytest.mark.parametrize("keys", [{"hue": 0.6}, {"contrast": 1.5}, {"probability": -1}])
def test_ranges(keys: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(keys))):
        WeakJitter(**keys)
