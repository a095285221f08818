from pathlib import Path, PurePath

import pytest

from hrda_lit.data.file_tree import Names
from hrda_lit.data.split_lists import match_lines, read_lines

IMAGES = [
    Path("/data/set") / name
    for name in ("a/000.png", "b/000.png", "b/001.png", "c/x y.jpg", "c/x.y.jpg", "u/ulm_1_leftImg8bit.png", "é/ü.png")
]


def names(lines: list[str]) -> list[str]:
    found, absent = match_lines(lines, IMAGES, Path("train.txt"), "_leftImg8bit.png")
    assert absent == []
    return [path.relative_to("/data/set").as_posix() for path in found]


@pytest.mark.parametrize(
    ("line", "image"),
    [
        ("a/000", "a/000.png"),
        ("b/000.png", "b/000.png"),
        ("./b/000", "b/000.png"),
        ("set/a/000.png", "a/000.png"),
        ("/data/set/a/000.png", "a/000.png"),
        ("b\\000.png", "b/000.png"),
        ("001", "b/001.png"),
        ("x y", "c/x y.jpg"),
        ("c/x y.jpg", "c/x y.jpg"),
        ("x.y", "c/x.y.jpg"),
        ("u/ulm_1", "u/ulm_1_leftImg8bit.png"),
        ("ulm_1_leftImg8bit", "u/ulm_1_leftImg8bit.png"),
        ("u/ulm_1_leftImg8bit.png\tgtFine/u/ulm_1.png", "u/ulm_1_leftImg8bit.png"),
        ("a/000.png labels/a/000.png", "a/000.png"),
        ("b/001.png,labels/b/001.png", "b/001.png"),
        ("e\u0301/u\u0308", "é/ü.png"),
    ],
)
def test_a_line_means_one_image(line: str, image: str) -> None:
    assert names([line]) == [image]


@pytest.mark.parametrize("line", ["c/000", "00", "a/001", "x/set/a/000", "001.jpg"])
def test_lines_without_an_image_are_returned(line: str) -> None:
    assert match_lines([line], IMAGES, Path("train.txt")) == ([], [line])


def test_a_line_that_means_several_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line '000' of train\.txt means both /data/set/a/000\.png and .*b/000\.png"):
        names(["b/001", "000"])


@pytest.mark.parametrize("line", ["/", ".", "..", "~", '"000.png"', "c/x y.jpg labels/x y.png"])
def test_odd_lines_name_no_image(line: str) -> None:
    assert match_lines([line], IMAGES, Path("train.txt")) == ([], [line])
    assert PurePath(line) not in Names(["x", "b/*"])


def test_a_line_with_a_hash_is_a_comment_unless_it_names_an_image() -> None:
    images = [Path("/data/set/#1.png"), Path("/data/set/a/2.png")]
    lines = ["#1", "# 2", "#2", "#", "#a/2.png", "# nothing"]
    assert match_lines(lines, images, Path("train.txt")) == (images[:1], [])


def test_byte_order_windows_ends_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa/000\r\n\r\n  b/001  \r\n")
    assert read_lines(tmp_path / "a.txt") == ["a/000", "b/001"]
    (tmp_path / "b.txt").write_text("a/000", encoding="utf-16")
    with pytest.raises(ValueError, match=r"b\.txt is not text in UTF-8"):
        read_lines(tmp_path / "b.txt")
