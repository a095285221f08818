"""Photometric distortion against an independent, pixel-by-pixel version of its definition."""

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hrda_lit.data.distortion import Distortion, _in_hsv
from hrda_lit.data.draws import SourceDraws
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.ops.rng import generator

OFF = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}


def some_image(size: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator("image"))


def test_nothing_changes_where_nothing_is_drawn() -> None:
    image = some_image()
    assert torch.equal(Distortion(probability=0)(image, generator(0)), image)


def test_hue_and_saturation_of_every_pixel() -> None:
    image = some_image()
    turned = _in_hsv(image, 10, 0.7).permute(1, 2, 0).reshape(-1, 3).tolist()
    apart = []
    for ours, pixel in zip(turned, image.permute(1, 2, 0).reshape(-1, 3).tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in pixel))
        steps = (round(hue * 180) + 10) % 180
        theirs = colorsys.hsv_to_rgb(steps / 180, int(round(saturation * 255) * 0.7) / 255, value)
        apart.append(np.abs(np.array(ours) - 255 * np.array(theirs)).max())
    # A hue half way between two steps may be rounded to either, in single and in double precision.
    assert sum(distance < 1.01 for distance in apart) > 0.97 * len(apart)
    assert max(apart) < 10


@pytest.mark.parametrize(("key", "most"), [("brightness", 32), ("contrast", 0.5)])
def test_brightness_adds_and_contrast_multiplies(key: str, most: float) -> None:
    image, made = torch.full((3, 1, 1), 100, dtype=torch.uint8), Distortion(1, **OFF | {key: most})
    values = [int(made(image, generator(seed))[0]) for seed in range(300)]
    reach = most if key == "brightness" else 100 * most
    assert 100 - reach - 1 <= min(values) < 100 - 0.9 * reach
    assert 100 + 0.9 * reach < max(values) <= 100 + reach
    assert 85 < np.mean(values) < 115


@pytest.mark.parametrize("key", ["brightness", "contrast"])
def test_each_change_comes_as_often_as_asked(key: str) -> None:
    # Of a grey image, hue and saturation change nothing.
    image, made = torch.full((3, 1, 1), 200, dtype=torch.uint8), Distortion(0.25, **OFF | {"hue": 18, key: 1})
    changed = sum(not torch.equal(made(image, generator(seed)), image) for seed in range(400))
    assert 0.1 < changed / 400 < 0.35


def test_contrast_comes_before_or_after_the_saturation() -> None:
    # Clipped before its saturation falls, a bright red keeps less of its green than after.
    image = torch.tensor([200, 150, 100], dtype=torch.uint8).view(3, 1, 1)
    made = Distortion(1, brightness=0, contrast=1, saturation=1, hue=0)
    seen = {tuple(made(image, generator(seed)).flatten().tolist()) for seed in range(60)}
    assert len(seen) > 30
    assert any(max(pixel) == 255 for pixel in seen)


@pytest.mark.parametrize("wrong", [{"probability": 2}, {"contrast": -1}, {"brightness": 300}, {"hue": 91}])
def test_numbers_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* expected"):
        Distortion(**wrong)


def test_source_crops_are_distorted_and_else_the_same(make_dataset: Callable[..., Any]) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)

    def draws(distortion: Distortion | None) -> SourceDraws:
        return SourceDraws(dataset, samples, Pipeline((32, 32), rare_class=None, distortion=distortion), 0)

    plain, other = draws(None), draws(Distortion(probability=1))
    for draw in range(4):
        assert torch.equal(plain[draw]["label"], other[draw]["label"])
        assert not torch.equal(plain[draw]["image"], other[draw]["image"])
        assert torch.equal(other[draw]["image"], draws(Distortion(probability=1))[draw]["image"])
