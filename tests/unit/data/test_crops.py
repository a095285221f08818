import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrda_lit.data.transforms import is_varied, random_crop, retry
from hrda_lit.ops.boxes import Box, whole


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(0, 999))
def test_crop_lies_inside(height: int, width: int, crop_height: int, crop_width: int, seed: int) -> None:
    box = random_crop((height, width), (crop_height, crop_width), torch.Generator().manual_seed(seed))
    assert box.size == (min(height, crop_height), min(width, crop_width))
    assert 0 <= box.top <= box.bottom <= height
    assert 0 <= box.left <= box.right <= width


def test_every_offset_is_drawn_equally_often() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = [random_crop((10, 13), (8, 8), generator) for _ in range(3600)]
    counts = np.zeros((3, 6))
    for box in boxes:
        counts[box.top, box.left] += 1
    assert np.abs(counts - 200).max() < 4 * np.sqrt(200)  # 18 cells of 200 each


@pytest.mark.parametrize(("good", "expected", "judged"), [(0, 0, 1), (2, 2, 3), (9, 9, 10), (10, 10, 10), (99, 10, 10)])
def test_retry_takes_the_last_box_unchecked(good: int, expected: int, judged: int) -> None:
    drawn = iter(range(100))
    seen = []

    def accept(box: Box) -> bool:
        seen.append(box)
        return box.top == good

    assert retry(lambda: Box(next(drawn), 0, 0, 0), accept, 10).top == expected
    assert len(seen) == judged


@pytest.mark.parametrize(
    ("counts", "varied"),
    [
        ({0: 74, 1: 26}, True),
        ({0: 75, 1: 25}, False),  # the bound itself is too much
        ({0: 30, 1: 10, 255: 60}, False),  # ignored pixels do not dilute
        ({0: 29, 1: 11, 255: 60}, True),
        ({0: 100}, False),
        ({0: 40, 255: 60}, False),
        ({255: 100}, False),
    ],
)
def test_is_varied(counts: dict[int, int], varied: bool) -> None:
    label = torch.tensor([i for i, count in counts.items() for _ in range(count)], dtype=torch.uint8).view(10, 10)
    assert is_varied(label, 255, 0.75) is varied


def test_one_class_is_never_varied() -> None:
    assert not is_varied(torch.zeros(whole((4, 4)).size, dtype=torch.uint8), 255, 1.0)
