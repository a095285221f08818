"""Pictures: colours, sizes and files."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.ops.normalise import normalise
from hrda_lit.pictures.layers import colourise, errors, grey, panels, photograph, png


def test_classes_have_their_colours_and_ignored_pixels_are_black() -> None:
    picture = colourise(torch.tensor([[0, 10], [18, 255]]), CITYSCAPES)
    assert picture[:, 0, 0].tolist() == [128, 64, 128]
    assert picture[:, 0, 1].tolist() == [70, 130, 180]
    assert picture[:, 1, 0].tolist() == [119, 11, 32]
    assert picture[:, 1, 1].tolist() == [0, 0, 0]


def test_photograph_undoes_normalisation() -> None:
    image = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(photograph(normalise(image)), image)


def test_grey_spans_black_to_white() -> None:
    assert grey(torch.tensor([[0.0, 0.5, 1.0, 2.0]]))[0, 0].tolist() == [0, 127, 255, 255]


def test_errors_are_red_and_unknown_pixels_black() -> None:
    picture = errors(torch.tensor([[1, 2, 3]]), torch.tensor([[1, 9, 255]]), ignore=255)
    right, wrong, unknown = picture[:, 0].T.tolist()
    assert len(set(right)) == 1
    assert wrong[0] > 2 * wrong[1]
    assert unknown == [0, 0, 0]


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (4, 2, 2), (5, 2, 3)])
def test_panels_lie_in_a_grid(count: int, columns: int, rows: int) -> None:
    pictures = {f"picture {k}": torch.full((3, 10, 20), 50 * k, dtype=torch.uint8) for k in range(count)}
    sheet = np.asarray(Image.open(io.BytesIO(png(panels(pictures, columns)))))
    title = sheet.shape[0] // rows - 10
    assert sheet.shape == (rows * (10 + title), columns * 20, 3)
    for k in range(count):
        top, left = k // columns * (10 + title) + title, k % columns * 20
        assert (sheet[top : top + 10, left : left + 20] == 50 * k).all()
