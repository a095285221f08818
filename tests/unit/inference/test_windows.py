"""Predicting whole images and sliding over them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hrda_lit.inference.augmented import Augmented
from hrda_lit.inference.base import Inference
from hrda_lit.inference.traceable import ImageToLogits
from hrda_lit.inference.windows import Blend, Slide, Whole, pixels_at_once
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.ops.boxes import crop, sliding_boxes, stitch
from hrda_lit.ops.normalise import denormalise
from hrda_lit.ops.resize import resize

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
        ({"batch": 0}, "batch=0: expected"),
        ({"stride": (0, 4)}, r"stride\[0\]=0: expected"),
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


def test_a_single_scale_network_takes_any_window_that_its_encoder_takes(single: SingleScaleSegmentor) -> None:
    Slide((61, 63)).check(single)
    with pytest.raises(ValueError, match=r"inference.window of \(61, 31\) is smaller than \(32, 32\), .*raise"):
        Slide((61, 31)).check(single)


@pytest.mark.parametrize("pixels", [1, 3 * 32 * 32, 10**9])
def test_windows_share_their_details(multires: Builder, pixels: int) -> None:
    """Equal to each window by itself, though what they have in common is looked at once."""
    network, image = multires().eval(), torch.rand(2, 3, 64, 128)
    boxes = sliding_boxes((64, 128), (64, 64), (32, 32))
    seen = 0

    def count(_: object, inputs: tuple[torch.Tensor]) -> None:
        nonlocal seen
        seen += inputs[0].shape[0]

    with torch.no_grad(), network.backbone.register_forward_pre_hook(count):
        made = list(network.window_views(image, boxes, pixels))
    # Details of 32 pixels, 16 apart: 3 x 7 of the image where windows by themselves have 3 x 9; and 3 contexts.
    assert seen == 2 * (3 * 7 + 3)
    for views, box in zip(made, boxes, strict=True):
        expected = network.views(crop(image, box))
        assert views.keys() == expected.keys()
        for name, view in views.items():
            torch.testing.assert_close(view, expected[name], rtol=1e-4, atol=1e-6)


def test_in_training_each_window_is_a_batch_of_its_own(multires: Builder) -> None:
    network, image = multires().train(), torch.rand(1, 3, 64, 128)
    boxes = sliding_boxes((64, 128), (64, 64), (32, 32))
    counted: list[int] = []
    with torch.no_grad(), network.head.register_forward_pre_hook(lambda _, x: counted.append(x[0][0].shape[0])):
        assert len(list(network.window_views(image, boxes, 10**9))) == 3
    assert counted == [3, 27]


def test_without_overlap_each_pixel_is_predicted_once(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 128)
    slide = Slide((64, 64), overlap=False)
    assert slide.stride == (64, 64)
    views = slide.views(network, image)
    for left in (0, 64):
        window = image[..., left : left + 64]
        context = network.views(window)["context"]
        parts = [crop(window, box) for box in sliding_boxes((64, 64), (32, 32), (32, 32))]
        details = [network.head(network.backbone(part)) for part in parts]
        detail = torch.cat([torch.cat(details[:2], -1), torch.cat(details[2:], -1)], -2)
        for name, view in (("context", context), ("detail", detail)):
            made = views[name][..., left : left + 64]
            torch.testing.assert_close(made, resize(view, (64, 64)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("inference", [Whole(), Slide((64, 64)), Slide((64, 96), (10, 33))])
@pytest.mark.parametrize("size", [(72, 104), (64, 70), (131, 70)])
def test_strips_are_the_rows_of_the_views(multires: Builder, inference: Whole | Slide, size: tuple[int, int]) -> None:
    network, image = multires().eval(), torch.rand(1, 3, *size)
    with torch.no_grad():
        views = inference.views(network, image)
        strips = list(inference.strips(network, image, every=True))
        alone = list(inference.strips(network, image, every=False))
    assert {name for _, name, _ in strips} == {"fused", "detail", "context", "attention"}
    for some in (strips, alone):
        for name in {name for _, name, _ in some}:
            mine = [(top, rows) for top, one, rows in some if one == name]
            assert [top for top, _ in mine] == [sum(rows.shape[-2] for _, rows in mine[:i]) for i in range(len(mine))]
            assert torch.cat([rows for _, rows in mine], -2).equal(views[name])
            assert len(mine) > 1 or isinstance(inference, Whole) or size[0] <= inference.window[0]
    assert {name for _, name, _ in alone} == {"fused"}


@pytest.mark.parametrize("make", [Whole, lambda **o: Slide((64, 64), **o)])
def test_bfloat16_is_near(multires: Builder, make: Callable[..., Whole | Slide]) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 96)
    dtypes = []
    with torch.no_grad(), network.head.classify.register_forward_hook(lambda *a: dtypes.append(a[2].dtype)):
        exact, made = make()(network, image), make(bf16=True)(network, image)
    assert set(dtypes[: len(dtypes) // 2]) == {torch.float32}
    assert set(dtypes[len(dtypes) // 2 :]) == {torch.bfloat16}
    assert made.dtype == torch.float32
    assert not made.equal(exact)
    assert (made - exact).abs().max() < 0.05 * exact.abs().max()


def test_memory_says_how_many_pixels_go_through_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGPU:
        device, shape = torch.device("cuda", 0), (2, 3, 8, 8)

    assert pixels_at_once(torch.zeros(1, 3, 8, 8)) == 512 * 512
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (6_000_000_000, 10**11))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5_000_000_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 3_000_000_000)
    assert pixels_at_once(OnGPU()) == 2_000_000  # type: ignore[arg-type]


def test_strips_take_less_memory_than_all_logits(multires: Builder) -> None:
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                self.numbers = max(self.numbers, made.numel())
            return made

    network, image, slide = multires().eval(), torch.rand(1, 3, 1024, 64), Slide((64, 64), batch=1)
    with torch.no_grad(), Largest() as seen:
        assert sum(rows.shape[-2] for _, _, rows in slide.strips(network, image, every=False)) == 1024
    assert seen.numbers < image.numel() // 4  # as many numbers as logits of three classes have


class Constant(SingleScaleSegmentor):
    """Predict for every window how many came before it, so that seams are what a blend leaves."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.seen = 0

    def views(self, image: torch.Tensor, smooth: bool = False) -> dict[str, torch.Tensor]:
        levels = torch.arange(self.seen, self.seen + image.shape[0]).view(-1, 1, 1, 1)
        self.seen += image.shape[0]
        return {"fused": levels * torch.ones(image.shape[0], 1, *image.shape[-2:])}


def test_hann_fades_where_the_average_jumps() -> None:
    image = torch.zeros(1, 3, 64, 160)
    plain, smooth = (Slide((64, 64), blend=blend)(Constant(), image)[0, 0, 0] for blend in ("average", "hann"))
    assert plain.diff().abs().max() == 1
    assert smooth.diff().abs().max() < 0.06
    for made in (plain, smooth):
        assert (made[0], made[-1]) == (0, 3)
    # Half a window apart, bells add up to 1: in the middle between two windows both count alike.
    torch.testing.assert_close(smooth[47:49].mean(), torch.tensor(0.5))


@pytest.mark.parametrize("size", [(72, 104), (64, 70), (131, 70)])
def test_blends_agree_in_strips_and_as_tensors(multires: Builder, size: tuple[int, int]) -> None:
    network, image = multires().eval(), torch.rand(1, 3, *size)
    slide = Slide((64, 64), (24, 32), blend="hann")
    with torch.no_grad():
        made = slide(network, image)
        strips = [rows for _, _, rows in slide.strips(network, image, every=False)]
    torch.testing.assert_close(torch.cat(strips, -2), made, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(made, Slide((64, 64), (24, 32))(network, image), atol=1e-3)


def test_details_are_blended_too(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 64)
    plain, smooth = (Slide((64, 64), blend=blend).views(network, image) for blend in ("average", "hann"))
    torch.testing.assert_close(smooth["context"], plain["context"])
    assert not torch.allclose(smooth["detail"], plain["detail"], atol=1e-3)


def test_a_whole_image_is_blended_as_one_window(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        plain, smooth = (Whole(blend=blend).views(network, image) for blend in ("average", "hann"))
        window = Slide((64, 96), blend="hann").views(network, image)
    for name, view in smooth.items():
        torch.testing.assert_close(view, window[name], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(smooth["detail"], plain["detail"], atol=1e-3)


@pytest.mark.parametrize("make", [Whole, partial(Slide, (64, 64))])
def test_an_unknown_blend_is_refused(make: Callable[..., Inference]) -> None:
    with pytest.raises(ValueError, match="blend=bell: expected"):
        make(blend="bell")


def test_details_are_looked_at_when_a_window_needs_them(multires: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    network, looks, image = multires().eval(), list[int](), torch.rand(1, 3, 256, 64)
    look = network._predict_details
    monkeypatch.setattr(network, "_predict_details", lambda details: looks.append(len(details)) or look(details))
    windows = network.window_views(image, sliding_boxes((256, 64), (64, 64), (32, 32)), pixels=1)
    next(windows)
    first = sum(looks)
    assert len(list(windows)) == 6
    assert first * 4 < sum(looks)


@torch.no_grad()
@pytest.mark.parametrize("blend", ["average", "hann"])
def test_probabilities_of_windows_are_averaged(multires: Builder, blend: Blend) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 72, 104)
    slide = Slide((64, 64), average="probabilities", blend=blend)
    boxes = sliding_boxes((72, 104), (64, 64), (32, 32))
    pieces = [network.predict(crop(image, box)).softmax(1) for box in boxes]
    if blend == "average":
        torch.testing.assert_close(slide(network, image).exp(), stitch(pieces, boxes, (72, 104), False))
    made, views = slide(network, image), slide.views(network, image)
    torch.testing.assert_close(made.exp().sum(1), torch.ones(1, 72, 104))
    torch.testing.assert_close(views["fused"], made, rtol=1e-4, atol=1e-6)
    assert 0 <= float(views["attention"].min()) <= float(views["attention"].max()) <= 1
    strips = [rows for _, name, rows in slide.strips(network, image, every=False) if name == "fused"]
    torch.testing.assert_close(torch.cat(strips, dim=2), made, rtol=1e-4, atol=1e-6)
    traced = ImageToLogits(network, slide)(denormalise(image))
    torch.testing.assert_close(traced, made, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 33)])
def test_images_smaller_than_an_encoder_takes_are_padded(
    single: SingleScaleSegmentor, multires: Builder, size: tuple[int, int]
) -> None:
    image = torch.rand(1, 3, *size)
    assert single.backbone.least == 32
    for network in (single, multires((64, 64), s_T=4)):
        for inference in (Whole(), Augmented((64, 64), Whole(), (0.5, 1.0)), Slide((128, 128))):
            made = inference(network.eval(), image)
            assert made.shape == (1, 3, *size)
            assert made.isfinite().all()
