import numpy as np
import pytest
import torch

from hrda_lit.data.layout import Margins, crop_mask, image_mask

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


@pytest.mark.parametrize("size", [(1024, 2048), (922, 1843), (100, 200)])
def test_margins_in_percent_follow_the_image(size: tuple[int, int]) -> None:
    height, width = size
    mask = image_mask(size, Margins(3, 25, 3, 3, unit="percent"), 2)
    rows, columns = mask.amax(1).nonzero().flatten().tolist(), mask.amax(0).nonzero().flatten().tolist()
    assert (rows[0], height - 1 - rows[-1]) == (-(-3 * height // 100), -(-25 * height // 100))
    assert (columns[0], width - 1 - columns[-1]) == (-(-3 * width // 100), -(-3 * width // 100))
    assert mask.sum() == len(rows) * len(columns)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unit=rows: expected"):
        Margins(unit="rows")
