import numpy as np
import pytest
import torch

from hrda_lit.data.margins import Margins, crop_mask, image_mask

CITYSCAPES_MARGINS = Margins(top=30, bottom=240, left=30, right=30)


@pytest.mark.parametrize("downscale", [1, 2])
def test_image_mask(downscale: int) -> None:
    height, width = 1024 // downscale, 2048 // downscale
    expected = np.zeros((height, width), np.uint8)
    expected[30 // downscale : -240 // downscale, 30 // downscale : -30 // downscale] = 1
    assert (image_mask((height, width), CITYSCAPES_MARGINS, downscale).numpy() == expected).all()


def test_crop_mask_is_rows_only() -> None:
    expected = np.ones((512, 512), np.uint8)
    expected[:15] = expected[-120:] = 0
    assert (crop_mask((512, 512), CITYSCAPES_MARGINS, 2).numpy() == expected).all()


def test_margins_may_cover_everything_or_nothing() -> None:
    assert not image_mask((8, 8), Margins(top=5, bottom=5), 1).any()
    assert not image_mask((8, 8), Margins(top=9), 1).any()
    assert image_mask((8, 8), Margins(), 1).equal(torch.ones(8, 8, dtype=torch.uint8))


def test_broken_pixels_are_not_trusted() -> None:
    assert image_mask((8, 8), Margins(top=3), 2).sum(1).tolist() == [0, 0, 8, 8, 8, 8, 8, 8]
