"""Rectangles whose place is data equal those of numbers."""

import pytest
import torch

from hrda_lit.ops.backends import choose
from hrda_lit.ops.boxes import Box, DeviceBox, crop, crop_at, mask_outside, paste
from hrda_lit.ops.rng import generator

BOXES = [Box(0, 4, 0, 6), Box(2, 5, 3, 4), Box(7, 8, 0, 12), Box(0, 8, 0, 12)]


@pytest.mark.parametrize("box", BOXES)
def test_equal_to_the_box(box: Box) -> None:
    image = torch.randn(2, 3, 8, 12, generator=generator("spots"))
    on_device, piece = DeviceBox.of(box), crop(image, box)
    assert on_device.on_host() == box
    assert torch.equal(crop_at(image, on_device), piece)
    outside = torch.zeros_like(image)
    crop(outside, box).copy_(piece)
    assert torch.equal(mask_outside(image, on_device), outside)
    assert torch.equal(paste(piece, on_device, (8, 12)), outside)


def test_gradients_stay_inside() -> None:
    image = torch.randn(1, 8, 12, generator=generator("spots")).requires_grad_()
    piece = torch.randn(1, 3, 1, generator=generator("piece")).requires_grad_()
    on_device, weight = DeviceBox.of(BOXES[1]), torch.rand(1, 8, 12, generator=generator("weight"))
    (mask_outside(image, on_device) * weight + paste(piece, on_device, (8, 12)) * weight).sum().backward()
    inside = torch.zeros_like(weight)
    crop(inside, BOXES[1]).copy_(crop(weight, BOXES[1]))
    assert torch.equal(image.grad, inside)
    assert torch.equal(piece.grad, crop(weight, BOXES[1]))


def test_what_lies_outside_may_be_no_number() -> None:
    image = torch.full((1, 4, 4), torch.nan)
    crop(image, Box(1, 2, 1, 2)).fill_(5)
    assert mask_outside(image, DeviceBox.of(Box(1, 2, 1, 2))).sum() == 5


def test_divided() -> None:
    assert DeviceBox.of(Box(6, 12, 3, 9)).divided(1.5).on_host() == Box(4, 8, 2, 6)
    with pytest.raises(ValueError, match="does not lie on a grid of 4 pixels"):
        DeviceBox.of(Box(0, 6, 0, 8)).divided(4)


@pytest.mark.parametrize("flag", [True, False])
def test_a_choice_computes_what_it_takes(flag: bool) -> None:
    asked = []
    made = choose(torch.tensor(flag), lambda: asked.append("yes") or torch.ones(2), lambda: torch.zeros(2))
    assert made.tolist() == [float(flag)] * 2
    assert bool(asked) == flag
