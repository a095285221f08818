"""Averages over scales and mirror images, by loops."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hrda_lit.inference.augmented import Augmented
from hrda_lit.inference.base import Inference, Original
from hrda_lit.inference.windows import Slide, Whole
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.boxes import Box

pytestmark = pytest.mark.slow

Builder = Callable[..., MultiResSegmentor]
WINDOW = (64, 64)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def slow(base: Inference, network: MultiResSegmentor, image: Tensor, average: str) -> Tensor:
    """Average over the scales 0.5, 1 and 1.5, each also mirrored."""
    results = []
    for height, width in ((64, 96), (128, 192), (192, 288)):
        scaled = F.interpolate(image, (height, width), mode="bilinear", align_corners=False)
        for flipped in (False, True):
            logits = base(network, scaled.flip(3) if flipped else scaled)
            logits = F.interpolate(logits, (128, 192), mode="bilinear", align_corners=False)
            logits = logits.flip(3) if flipped else logits
            results.append(logits.softmax(1) if average == "probabilities" else logits)
    mean = torch.stack(results).mean(0)
    return mean.log() if average == "probabilities" else mean


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("base", [Whole(), Slide(WINDOW, batch=2)])
def test_average_by_loops(multires: Builder, base: Inference, average: str) -> None:
    network, image = multires().eval(), torch.rand(2, 3, 128, 192)
    made = Augmented(WINDOW, base, (0.5, 1, 1.5), True, average)(network, image)
    torch.testing.assert_close(made, slow(base, network, image, average), rtol=1e-4, atol=1e-5)


def test_probabilities_come_back_by_softmax(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 64)
    made = Augmented(WINDOW, Whole())(network, image).softmax(1)
    straight, mirrored = (Whole()(network, x).softmax(1) for x in (image, image.flip(-1)))
    torch.testing.assert_close(made, (straight + mirrored.flip(-1)) / 2)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_nothing_to_average_changes_no_label(multires: Builder, average: str) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 61, 75)
    made = Augmented(WINDOW, Slide(WINDOW), (1,), False, average)(network, image)
    alone = Slide(WINDOW)(network, image)
    torch.testing.assert_close(made.softmax(1), alone.softmax(1))


def test_the_prediction_of_a_mirror_image_is_the_mirror_image(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 128, 192)
    augmented = Augmented(WINDOW, Whole(), (0.5, 1))
    made = augmented(network, image.flip(-1))
    torch.testing.assert_close(made.flip(-1), augmented(network, image), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(Whole()(network, image.flip(-1)).flip(-1), Whole()(network, image), atol=1e-4)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_views_are_averaged_one_by_one(multires: Builder, average: str) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 72, 96)
    base, augmented = Slide(WINDOW), Augmented(WINDOW, Slide(WINDOW), (1,), True, average)
    views = augmented.views(network, image)
    straight, mirrored = base.views(network, image), base.views(network, image.flip(-1))
    assert list(views) == list(straight)
    torch.testing.assert_close(views["fused"], augmented(network, image), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(views["attention"], (straight["attention"] + mirrored["attention"].flip(-1)) / 2)
    for name in ("context", "detail"):
        pair = (straight[name], mirrored[name].flip(-1))
        if average == "logits":
            expected = (pair[0] + pair[1]) / 2
        else:
            expected = ((pair[0].softmax(1) + pair[1].softmax(1)) / 2).log()
        torch.testing.assert_close(views[name], expected, rtol=1e-4, atol=1e-5)


def test_scales_of_the_file_are_averaged_at_the_size_of_the_label(multires: Builder) -> None:
    network = multires().eval()
    scaled = [torch.rand(1, 3, 64, 96), torch.rand(1, 3, 96, 144)]
    made = Augmented(WINDOW, Slide(WINDOW), (0.5, 0.75), False)(network, scaled[0], Original(scaled, (80, 100)))
    expected = [
        F.interpolate(Slide(WINDOW)(network, image), (80, 100), mode="bilinear", align_corners=False).softmax(1)
        for image in scaled
    ]
    torch.testing.assert_close(made.softmax(1), (expected[0] + expected[1]) / 2, rtol=1e-4, atol=1e-6)


def test_an_image_smaller_than_a_window_is_padded_to_what_the_network_needs(multires: Builder) -> None:
    network, seen = multires(detail=(64, 64)).eval(), []
    views = network.window_views

    def watched(image: Tensor, boxes: list[Box], *rest: Any) -> Iterator[dict[str, Tensor]]:
        seen.extend(box.size for box in boxes)
        return views(image, boxes, *rest)

    network.window_views = watched  # type: ignore[method-assign]
    image = torch.rand(1, 3, 84, 192)
    made = Augmented((128, 128), Slide((128, 128)), (1, 0.5), False)(network, image)
    assert made.shape == (1, 3, 84, 192)
    # 84 rows are 88, a multiple of 8; of half as many, 64 are needed for a detail crop.
    assert seen == [(88, 128), (88, 128), (64, 96)]


def test_base_gets_the_window_it_lacks() -> None:
    made = Augmented((48, 64), partial(Slide, batch=3)).base
    assert isinstance(made, Slide)
    assert (made.window, made.batch) == ((48, 64), 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scales": ()}, r"scales=\[\]: expected"),
        ({"scales": (1, 0)}, r"scales\[1\]=0: expected"),
        ({"average": "votes"}, "average=votes: expected"),
    ],
)
def test_out_of_range_arguments(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Augmented(WINDOW, Whole(), **options)  # type: ignore[arg-type]


def test_strips_are_the_views(multires: Builder) -> None:
    network, image = multires().eval(), torch.rand(1, 3, 64, 96)
    augmented = Augmented(WINDOW, Slide(WINDOW), scales=(1.0, 1.5))
    views = augmented.views(network, image)
    strips = list(augmented.strips(network, image, every=True))
    assert [(top, name) for top, name, _ in strips] == [(0, name) for name in views]
    assert all(rows.equal(views[name]) for _, name, rows in strips)
    [(_, name, fused)] = augmented.strips(network, image, every=False)
    assert name == "fused"
    torch.testing.assert_close(fused, views["fused"], rtol=1e-4, atol=1e-6)
