"""What the networks supervise and predict."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hrda_lit.networks.multires import MultiResSegmentor, alignment
from hrda_lit.networks.segmentor import Segmentor, SingleScaleSegmentor, TrainingOutput
from hrda_lit.ops.boxes import Box, crop
from hrda_lit.ops.resize import downscale, resize
from hrda_lit.ops.rng import generator

Builder = Callable[..., MultiResSegmentor]


def forward(network: Segmentor, image: Tensor, seed: int) -> TrainingOutput:
    made: TrainingOutput = network(image, network.draw((image.shape[-2], image.shape[-1]), generator(seed)))
    return made


def test_single_scale_gives_one_output(single: SingleScaleSegmentor) -> None:
    image = torch.rand(2, 3, 64, 96)
    outputs, features, _ = single(image, single.draw((64, 96), generator(0)))
    assert [(tuple(o.logits.shape), o.box, o.weight) for o in outputs] == [((2, 3, 16, 24), None, 1)]
    assert features.shape == (2, 32, 2, 3)
    assert single.context(image) is image


def test_single_scale_predicts_every_pixel(single: SingleScaleSegmentor) -> None:
    image = torch.rand(1, 3, 50, 70)
    logits = single.eval().predict(image)
    expected = resize(single.head(single.backbone(image)), (50, 70))
    assert torch.equal(logits, expected)


def test_training_forward_of_the_multi_resolution_network(multires: Builder) -> None:
    network = multires(lambda_d=0.3)
    image = torch.rand(2, 3, 64, 96)
    (fused, detail), features, detail_features = forward(network, image, 0)
    assert detail_features is None
    assert fused.logits.shape == (2, 3, 16, 24)
    assert detail.logits.shape == (2, 3, 8, 8)
    assert fused.box is None
    assert detail.box.size == (32, 32)
    assert all(edge % 8 == 0 for edge in detail.box.on_host())
    assert (fused.weight, detail.weight) == (0.7, 0.3)
    assert features.shape == (2, 32, 1, 2)  # of the context, at half resolution


def test_a_detail_crop_of_the_whole_gives_the_context_a_loss_of_its_own(multires: Builder) -> None:
    network, image = multires(detail=(64, 96), lambda_d=0.2).eval(), torch.rand(2, 3, 64, 96)
    (fused, left, detail), features, detail_features = forward(network, image, 0)
    assert (fused.weight, left.weight, detail.weight) == pytest.approx((0.6, 0.2, 0.2))
    # What each of the two scales leaves to the other adds up to the fused prediction.
    attention = network.fusion.attend(network.backbone(network.context(image)), (8, 12))
    close = network.head(network.backbone(image))
    torch.testing.assert_close(
        fused.logits, resize(left.logits, (16, 24)) + resize(attention, (16, 24)) * close, rtol=1e-4, atol=1e-5
    )
    assert (features.shape[-2:], detail_features.shape[-2:]) == ((1, 2), (2, 3))
    torch.testing.assert_close(detail_features, network.backbone(image)[-1])


def test_its_fused_loss_keeps_a_weight_of_at_least_0(multires: Builder) -> None:
    multires(detail=(64, 64), lambda_d=0.5).check_crop((64, 64))
    with pytest.raises(ValueError, match=r"weighs 1 - 2 lambda_d, which is below 0 with lambda_d=0.6; lower lambda_d"):
        multires(detail=(64, 64), lambda_d=0.6).check_crop((64, 64))


def test_box_comes_from_the_generator(multires: Builder) -> None:
    network, image = multires(), torch.rand(1, 3, 96, 96)
    boxes = [[forward(network, image, seed).outputs[1].box.on_host() for seed in range(6)] for _ in range(2)]
    assert boxes[0] == boxes[1]
    assert len(set(boxes[0])) > 1


def test_detail_sees_the_crop_of_the_full_resolution(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 64)
    outputs, features, _ = forward(network, image, 1)
    expected = network.head(network.backbone(crop(image, outputs[1].box.on_host())))
    torch.testing.assert_close(outputs[1].logits, expected)
    torch.testing.assert_close(features, network.backbone(downscale(image, 2))[-1])


def test_prediction_of_a_crop_that_is_the_detail(multires: Builder) -> None:
    network, image = multires(detail=(64, 64)).eval(), torch.rand(1, 3, 64, 64)
    fused = forward(network, image, 0).outputs[0].logits
    torch.testing.assert_close(network.views(image)["fused"], fused)


def test_views(multires: Builder) -> None:
    views = multires().eval().views(torch.rand(1, 3, 64, 96))
    shapes = {name: tuple(view.shape[1:]) for name, view in views.items()}
    assert shapes == {
        "fused": (3, 16, 24), "detail": (3, 16, 24), "context": (3, 8, 12), "attention": (3, 8, 12)
    }  # fmt: skip


def test_detail_windows_average(multires: Builder) -> None:
    network, image = multires(detail=(64, 64)).eval(), torch.rand(1, 3, 64, 96)
    left, right = (network.head(network.backbone(crop(image, Box(0, 64, x, x + 64)))) for x in (0, 32))
    detail = network.views(image)["detail"]
    torch.testing.assert_close(detail[..., :8], left[..., :8])
    torch.testing.assert_close(detail[..., 8:16], (left[..., 8:] + right[..., :8]) / 2)
    torch.testing.assert_close(detail[..., 16:], right[..., 8:])


@pytest.mark.parametrize(("stride", "s_T", "expected"), [(4, 2, 8), (4, 1, 4), (4, 1.5, 12), (8, 2, 16), (4, 4, 16)])
def test_alignment(stride: int, s_T: float, expected: int) -> None:
    assert alignment(stride, s_T) == expected


@pytest.mark.parametrize(("s_T", "size", "detail"), [(1, 64, 32), (1.5, 96, 48), (4, 128, 64)])
def test_other_scales(multires: Builder, s_T: float, size: int, detail: int) -> None:
    network, image = multires(detail=(detail, detail), s_T=s_T).eval(), torch.rand(1, 3, size, size)
    network.check_crop((size, size))
    assert forward(network, image, 0).outputs[0].logits.shape == (1, 3, size // 4, size // 4)
    assert network.predict(image).shape == (1, 3, size, size)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lambda_d": -0.1}, "lambda_d=-0.1: expected"),
        ({"lambda_d": 1.1}, "lambda_d=1.1: expected"),
        ({"s_T": 0.5}, "s_T=0.5: expected"),
        ({"detail": (32, 36)}, r"network.detail.size .*of \(32, 36\) is not a multiple of 8.*choose a multiple of 8"),
        (
            {"detail": (36, 36), "s_T": 1},
            r"of \(36, 36\) gives windows .* off the grid of 4 pixels; choose a multiple",
        ),
    ],
)
def test_out_of_range_arguments(multires: Builder, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        multires(**options)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((64, 65), "must be whole"),
        ((64, 68), r"data\.crop of \(64, 68\) is not a multiple of 8"),
        ((24, 64), r"detail crop of \(32, 32\) does not fit"),
    ],
)
def test_crop_that_does_not_suit_the_network(multires: Builder, size: tuple[int, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        multires().check_crop(size)


def test_crop_too_small_for_batch_norm(single: SingleScaleSegmentor) -> None:
    single.check_crop((64, 64))
    with pytest.raises(ValueError, match=r"crop of \(64, 63\), smaller than \(64, 64\).*raise data\.crop"):
        single.check_crop((64, 63))


def test_details_begin_on_multiples_of_eight_pixels(multires: Builder) -> None:
    """As in the release, also where cells of context and detail meet on finer ones."""
    network = multires(s_T=1)
    assert network.multiple == 4
    drawn = torch.stack([network.draw((64, 64), generator(seed)) for seed in range(40)])
    assert {*drawn.flatten().tolist()} == {0, 8, 16, 24}
