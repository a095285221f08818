"""Predicting whole images and sliding over them."""

from collections.abc import Callable

import pytest
import torch

from hrda_lit.inference.windows import Slide, Whole
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.ops.boxes import crop, sliding_boxes

Builder = Callable[..., MultiResSegmentor]


def test_whole_pads_to_the_networks_multiple(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 61, 75)
    padded = torch.zeros(1, 3, 64, 80)
    padded[..., :61, :75] = image
    assert torch.equal(Whole()(network, image), network.predict(padded)[..., :61, :75])


def test_whole_leaves_a_fitting_image_alone(single: SingleScaleSegmentor) -> None:
    image = torch.rand(1, 3, 50, 70)
    assert torch.equal(Whole()(single.eval(), image), single.predict(image))


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_slide_averages_logits_by_loops(multires: Builder, batch: int) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 72, 104)
    total, count = torch.zeros(1, 3, 72, 104), torch.zeros(72, 104)
    boxes = sliding_boxes((72, 104), (64, 64), (32, 32))
    assert len(boxes) == 6
    for box in boxes:
        crop(total, box).add_(network.predict(crop(image, box)))
        crop(count, box).add_(1)
    made = Slide((64, 64), batch=batch)(network, image)
    torch.testing.assert_close(made, total / count, rtol=1e-4, atol=1e-6)


def test_slide_over_a_batch_keeps_images_apart(single: SingleScaleSegmentor) -> None:
    images, slide = torch.rand(2, 3, 64, 96), Slide((64, 64), batch=2)
    made = slide(single.eval(), images)
    for one, image in zip(made, images, strict=True):
        torch.testing.assert_close(one, slide(single, image[None])[0], rtol=1e-4, atol=1e-6)


def test_image_smaller_than_the_window_is_padded(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 40, 64)
    padded = torch.zeros(1, 3, 64, 64)
    padded[..., :40, :] = image
    made = Slide((64, 64))(network, image)
    torch.testing.assert_close(made, network.predict(padded)[..., :40, :], rtol=1e-4, atol=1e-6)


def test_stride_defaults_to_half_a_window() -> None:
    assert Slide((64, 96)).stride == (32, 48)
    assert Slide((64, 96), (10, 20)).stride == (10, 20)


@pytest.mark.parametrize("inference", [Whole(), Slide((64, 64), batch=2)])
def test_views_agree_with_the_prediction(multires: Builder, inference: Whole | Slide) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 72, 96)
    views = inference.views(network, image)
    assert {name: tuple(view.shape) for name, view in views.items()} == dict.fromkeys(
        ("fused", "detail", "context", "attention"), (1, 3, 72, 96)
    )
    torch.testing.assert_close(views["fused"], inference(network, image), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch": 0}, r"inference\.batch must be at least 1, got 0"),
        ({"stride": (0, 4)}, r"inference\.stride must be at least 1, got 0"),
    ],
)
def test_out_of_range_arguments(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Slide((8, 8), **options)


@pytest.mark.parametrize(
    ("window", "stride", "sentence"),
    [
        ((60, 64), None, r"inference.window of \(60, 64\) is not a multiple of 8 pixels, as this network needs"),
        ((64, 64), (32, 72), r"inference.stride of \(32, 72\) leaves gaps between windows of \(64, 64\)"),
    ],
)
def test_windows_that_fit_neither_network_nor_image(
    multires: Builder, window: tuple[int, int], stride: tuple[int, int] | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Slide(window, stride).check(multires())


def test_a_single_scale_network_takes_any_window(single: SingleScaleSegmentor) -> None:
    Slide((61, 63)).check(single)
