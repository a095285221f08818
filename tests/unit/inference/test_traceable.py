"""The inference that a graph can hold equals the one that loops."""

import pytest
import torch

from hrda_lit.inference.augmented import Augmented
from hrda_lit.inference.traceable import ImageToLogits, TraceableSlide
from hrda_lit.inference.windows import Slide, Whole
from hrda_lit.ops.normalise import MEAN, STD, denormalise

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [(64, 64), (64, 128), (96, 77), (150, 200), (30, 90), (40, 20)])
@pytest.mark.parametrize("stride", [None, (24, 64)])
@torch.no_grad()
def test_windows_as_tensors(multires, size: tuple[int, int], batch: int, stride: tuple[int, int] | None) -> None:
    network = multires().eval()
    slide = Slide((64, 64), stride)
    image = torch.randn(batch, 3, *size)
    torch.testing.assert_close(TraceableSlide(slide)(network, image), slide(network, image), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_image_is_normalised_inside(single) -> None:
    network, image = single.eval(), torch.rand(1, 3, 64, 96)
    normal = (255 * image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.equal(ImageToLogits(network, Whole())(image), network.predict(normal))
    assert isinstance(ImageToLogits(network, Slide((64, 64))).inference, TraceableSlide)


def test_augmentation_is_refused(single) -> None:
    with pytest.raises(ValueError, match="the inference Augmented cannot be exported"):
        ImageToLogits(single, Augmented((64, 64), Whole()))


@torch.no_grad()
def test_single_windows_are_blended_as_tensors_alike(single) -> None:
    network, image = single.eval(), torch.randn(1, 3, 150, 200)
    slide = Slide((64, 64), (24, 40), blend="hann")
    torch.testing.assert_close(TraceableSlide(slide)(network, image), slide(network, image), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_details_are_blended_as_tensors_alike(multires) -> None:
    network, image = multires().eval(), torch.randn(1, 3, 96, 77)
    slide = Slide((64, 64), blend="hann")
    torch.testing.assert_close(TraceableSlide(slide)(network, image), slide(network, image), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_details_do_not_overlap_where_those_of_the_inference_do_not(multires) -> None:
    network, image = multires().eval(), torch.randn(1, 3, 96, 128)
    slide = Slide((64, 64), overlap=False)
    made = ImageToLogits(network, slide)(denormalise(image))
    torch.testing.assert_close(made, slide(network, image), rtol=1e-3, atol=1e-4)
    assert network.overlap, "the network itself stays"
