"""Sheets of pictures: every pixel, titles, legends, and matrices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from hrda_lit.data.classes import CITYSCAPES, classes_from
from hrda_lit.pictures.figures import decode, encode, matrix, suffix_of
from hrda_lit.pictures.sheet import Entry, in_rows, legend, sheet

pytestmark = pytest.mark.slow

SIZE = (20, 40)


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(decode(encode(figure)))


def noise(seed: int, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def found(drawn: np.ndarray, wanted: np.ndarray) -> list[tuple[int, int]]:
    """Return where a picture lies in a drawing, pixel by pixel."""
    height, width = wanted.shape[:2]
    places = np.argwhere((drawn == wanted[0, 0]).all(-1)).tolist()
    return [(y, x) for y, x in places if np.array_equal(drawn[y : y + height, x : x + width], wanted)]


@pytest.mark.parametrize("size", [SIZE, (27, 91), (60, 400), (33, 517)])
def test_every_pixel_is_shown_in_rows_and_columns(size: tuple[int, int]) -> None:
    pictures = {f"picture {seed}": noise(seed, size) for seed in range(5)}
    drawn = pixels(sheet(in_rows(pictures, 3), "five"))
    times = -(-360 // size[1])  # narrow pictures grow
    places = []
    for one in pictures.values():
        [place] = found(drawn, one.permute(1, 2, 0).numpy().repeat(times, 0).repeat(times, 1))
        places.append(place)
    rows, columns = sorted({y for y, _ in places}), sorted({x for _, x in places})
    assert [(rows.index(y), columns.index(x)) for y, x in places] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_pictures_that_are_too_large_together_are_thinned() -> None:
    wide = noise(0, (8, 30_000))
    drawn = pixels(sheet([{"a": wide, "b": wide}]))
    assert drawn.shape[1] < 21_000
    assert len(found(drawn, wide[:, ::3, ::3].permute(1, 2, 0).numpy())) == 2


def test_words_grow_with_the_pictures() -> None:
    def ink(side: int) -> int:
        drawn = pixels(sheet([{"a title": torch.full((3, side, side), 255, dtype=torch.uint8)}]))
        return int(np.ptp(np.argwhere((drawn < 128).all(-1))[:, 1]))

    assert ink(1600) == pytest.approx(4 * ink(400), rel=0.1)


def test_a_title_that_is_too_long_stays_in_its_column() -> None:
    white = torch.full((3, 20, 400), 255, dtype=torch.uint8)
    drawn = pixels(sheet([{"x" * 300: white, "": white}]))
    assert (drawn[:, :404] < 128).any()
    assert (drawn[:, 412:] == 255).all()


def test_a_legend_names_what_occurs() -> None:
    labels = [torch.tensor([[0, 10]]), torch.tensor([[10, 255]], dtype=torch.uint8)]
    assert legend(labels, CITYSCAPES) == [
        Entry("road", (128, 64, 128)),
        Entry("sky", (70, 130, 180)),
        Entry("ignored", (0, 0, 0)),
    ]
    assert legend([], CITYSCAPES) == []


def test_the_legend_covers_no_picture_and_takes_the_cell_that_is_left() -> None:
    pictures = {f"{seed}": noise(seed, (200, 400)) for seed in range(3)}
    entries = [Entry("road", (1, 2, 3)), Entry("sky", (250, 4, 5))]
    alone = pixels(sheet(in_rows(pictures, 2)))
    drawn = pixels(sheet(in_rows(pictures, 2), entries=entries))
    assert drawn.shape == alone.shape
    below = pixels(sheet(in_rows(pictures, 3), entries=entries))
    assert below.shape[0] > pixels(sheet(in_rows(pictures, 3))).shape[0]
    for one in (drawn, below):
        assert all(found(one, picture.permute(1, 2, 0).numpy()) for picture in pictures.values())
        assert all((one == entry.colour).all(-1).sum() > 50 for entry in entries)


def test_vectors_hold_words_and_are_the_same_every_time() -> None:
    figure = sheet([{"a title": noise(0)}], "the sheet")
    pdf = encode(figure, ".pdf")
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert encode(figure, ".svg").startswith(b"<?xml")
    assert suffix_of(Path("x.PDF")) == ".pdf"
    with pytest.raises(ValueError, match=r"x\.jpg ends in none of \.png, \.pdf, \.svg; choose one"):
        suffix_of(Path("x.jpg"))


def test_a_matrix_has_axes_percents_and_a_bar() -> None:
    classes = classes_from({"names": ["road", "sky", "car"]})
    figure = matrix(torch.tensor([[75, 25, 0], [0, 4, 0], [0, 0, 0]]), classes, "a run")
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "a run")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["road", "sky", "car"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["road", "sky", "car (absent)"]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "75", (1, 0): "25", (1, 1): "100"}
    assert bar.get_ylim() == (0, 100)
    assert pixels(figure).shape[2] == 3


@pytest.mark.filterwarnings("error")
def test_names_of_any_length_and_script_leave_room_for_the_pictures() -> None:
    classes = classes_from({"names": ["x" * 60, "道路", "سماء", "🚗"]})
    figure = matrix(torch.eye(4, dtype=torch.long), classes, "a run")
    encode(figure)
    axes = figure.axes[0]
    assert axes.get_yticklabels()[0].get_text() == f"{'x' * 16}…{'x' * 16}"
    assert axes.get_position().width * figure.get_figwidth() > 1  # inches
    cell = torch.zeros(3, 200, 400, dtype=torch.uint8)
    entries = [Entry("y" * 300, (1, 2, 3)), Entry("道路", (250, 4, 5))]
    drawn = pixels(sheet([{"a": cell}], entries=entries))
    assert all((drawn == entry.colour).all(-1).sum() > 50 for entry in entries)


def test_a_matrix_of_many_classes_is_drawn_without_numbers() -> None:
    classes = classes_from({"names": [f"class {index}" for index in range(60)]})
    assert not list(matrix(torch.eye(60, dtype=torch.long), classes).axes[0].texts)
