import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrda_lit.data.transforms import finish, fitted_size, resize_image, resize_label
from hrda_lit.ops.boxes import Box, crop

SIDES = st.integers(2, 400)


@pytest.mark.parametrize(
    ("size", "box", "downscale", "expected"),
    [  # published sizes, as (height, width)
        ((1052, 1914), (1440, 2560), 1, (1407, 2560)),
        ((1052, 1914), (1440, 2560), 2, (704, 1280)),
        ((760, 1280), (1520, 2560), 1, (1520, 2560)),
        ((1024, 2048), (1024, 2048), 2, (512, 1024)),
        ((1080, 1920), (1080, 1920), 2, (540, 960)),
        ((720, 1280), (1024, 2048), 1, (1024, 1820)),
        ((1914, 1052), (1440, 2560), 1, (2560, 1407)),  # upright: the longer side decides
        ((480, 640), None, 1, (480, 640)),
        ((481, 640), None, 2, (241, 320)),
    ],
)
def test_fitted_size(
    size: tuple[int, int], box: tuple[int, int] | None, downscale: float, expected: tuple[int, int]
) -> None:
    assert fitted_size(size, box, downscale) == expected


@given(SIDES, SIDES, SIDES, SIDES)
def test_fitted_size_touches_the_box(height: int, width: int, box_height: int, box_width: int) -> None:
    fitted = fitted_size((height, width), (box_height, box_width))
    long, short = max(box_height, box_width), min(box_height, box_width)
    assert max(fitted) <= long
    assert min(fitted) <= short
    assert max(fitted) == long or min(fitted) == short


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolate between the four neighbours of each sampling point, in loops' place by index arithmetic."""

    def taps(length: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, length - 1), at - low

    (top, bottom, v), (left, right, h) = taps(image.shape[0], height), taps(image.shape[1], width)
    v, h = v[:, None, None], h[None, :, None]
    above = image[top][:, left] * (1 - h) + image[top][:, right] * h
    below = image[bottom][:, left] * (1 - h) + image[bottom][:, right] * h
    return above * (1 - v) + below * v


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_image_is_resized_without_antialiasing(h: int, w: int, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    resized = resize_image(torch.from_numpy(image).permute(2, 0, 1), (height, width)).permute(1, 2, 0).numpy()
    assert np.abs(resized - bilinear(image.astype(float), height, width)).max() < 1.001  # rounded twice


def by_hand(old: int, new: int) -> list[int]:
    """cv2: `ifx = 1. / inv_scale`, `sx = cvFloor(x * ifx)`, in double precision."""
    scale = np.float64(new) / np.float64(old)
    return [min(math.floor(np.float64(i) * (np.float64(1) / scale)), old - 1) for i in range(new)]


@given(st.integers(1, 250), st.integers(1, 400), st.integers(1, 250), st.integers(1, 400))
def test_label_takes_the_pixels_that_cv2_takes(height: int, new_height: int, width: int, new_width: int) -> None:
    ids = torch.arange(height, dtype=torch.uint8)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=torch.uint8)[None].expand(height, width)
    rows = torch.tensor(by_hand(height, new_height), dtype=torch.uint8)
    assert resize_label(ids, (new_height, new_width)).equal(rows[:, None].expand(new_height, new_width))
    wanted = torch.tensor(by_hand(width, new_width), dtype=torch.uint8)
    assert resize_label(columns, (new_height, new_width)).equal(wanted[None].expand(new_height, new_width))


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 99))
def test_a_part_of_a_resized_label(height: int, width: int, new_height: int, new_width: int, seed: int) -> None:
    label = torch.randint(0, 20, (height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    box = Box(new_height // 3, new_height + seed, new_width // 2, new_width)
    part = resize_label(label, (new_height, new_width), box)
    assert part.equal(crop(resize_label(label, (new_height, new_width)), box))


@pytest.mark.parametrize(
    ("old", "new", "row", "taken"),
    # LoggedCrops in cv2 4.5.5 and 5.0.0, which agree with `by_hand` for all sizes up to 130 -> 300.
    [(104, 142, 71, 52), (2, 98, 49, 0), (2, 206, 103, 0), (100, 200, 199, 99)],
)
def test_rows_where_single_precision_or_whole_numbers_differ(old: int, new: int, row: int, taken: int) -> None:
    ids = torch.arange(old, dtype=torch.uint8)[:, None]
    assert int(resize_label(ids, (new, 1))[row]) == taken


def test_finish_flips_before_padding() -> None:
    x = torch.arange(6).view(1, 2, 3)
    assert finish(x, (3, 4), flip=True, fill=-1).tolist() == [[[2, 1, 0, -1], [5, 4, 3, -1], [-1] * 4]]
    assert finish(x[0], (2, 3), flip=False, fill=-1).equal(x[0])
