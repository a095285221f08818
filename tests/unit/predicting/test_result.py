"""Results in a notebook: what they say, show and save."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.predicting.result import Result, borders

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
LABEL = np.zeros((60, 80), np.uint8)
LABEL[:15], LABEL[-6:] = 10, 13
RESULT = Result(IMAGE, LABEL, np.ones((60, 80), np.float32), CITYSCAPES, {}, "street.png")


def test_a_result_says_in_a_line_what_it_is() -> None:
    assert repr(RESULT) == "Result(street.png, 60 x 80, 3 of 19 classes: road 65 %, sky 25 %, car 10 %)"
    nameless = Result(IMAGE, np.arange(4800).reshape(60, 80).astype(np.uint8) % 19, RESULT.confidence, CITYSCAPES)
    assert repr(nameless).startswith("Result(60 x 80, 19 of 19 classes: ")
    assert repr(nameless).endswith(" %, ...)")


def test_a_notebook_shows_a_picture_with_a_legend() -> None:
    shown = np.asarray(Image.open(io.BytesIO(RESULT._repr_png_())).convert("RGB"))
    for train in (0, 10, 13):
        assert (shown == CITYSCAPES.colours[train]).all(-1).sum() > 50
    assert not (shown == CITYSCAPES.colours[11]).all(-1).any()


def test_large_pictures_are_shown_smaller() -> None:
    image = np.zeros((1000, 2000, 3), np.uint8)
    large = Result(image, image[..., 0], np.ones((1000, 2000), np.float32), CITYSCAPES)
    assert Image.open(io.BytesIO(large._repr_png_())).width < 1500


def test_outlines_divide_the_classes() -> None:
    plain, lined = (np.asarray(RESULT.overlay(0.5, outlines)) for outlines in (False, True))
    lines = (plain != lined).any(-1)
    assert np.flatnonzero(lines.any(1)).tolist() == [15, 54]
    assert (lined[[15, 54]] == 255).all()


def test_outlines_grow_with_the_picture_and_stay_where_they_are() -> None:
    label = np.zeros((8, 2800), np.uint8)
    label[:, 100:] = 1
    assert np.flatnonzero(borders(label)[0]).tolist() == [99, 100, 101]
    assert not borders(label * 0).any()


def test_save_writes_what_was_asked_for(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "new" / "figure.pdf")
    assert (tmp_path / "new" / "figure.pdf").read_bytes().startswith(b"%PDF")
    RESULT.save(str(tmp_path / "figure.png"))
    RESULT.save(tmp_path / "label.png", "label")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "label.png")), LABEL)
    RESULT.save(tmp_path / "overlay.png", "overlay")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "overlay.png")), np.asarray(RESULT.overlay()))


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("x.jpg", "figure", r"x\.jpg ends in none of"),
        ("x.png", "labels", "kind='labels' is none of"),
        ("x.png", "detail", "this result has no detail; ask for it by views=True"),
        ("x.pdf", "label", r"x\.pdf: label is made of pixels; choose \.png"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path: Path, name: str, kind: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RESULT.save(tmp_path / name, kind)
    assert not (tmp_path / name).exists()
