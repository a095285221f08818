"""Pictures: colours, sizes and files."""

import torch

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.ops.boxes import Box
from hrda_lit.ops.normalise import normalise
from hrda_lit.pictures.layers import Scene, colourise, errors, grey, paint, photograph


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


def test_titles_name_the_file_and_say_what_the_colours_mean() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    layers = {"label": torch.zeros(8, 8, dtype=torch.long), "attention": image}
    [row] = paint({"image": Scene(image, layers, {"detail": Box(0, 4, 0, 4)}, "a.png")}, CITYSCAPES)
    assert list(row) == [
        "image: a.png\nred: the detail crop",
        "label",
        "scale attention\nwhite: detail, black: context",
    ]
