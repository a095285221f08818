"""Names stay below the folder they are given for, whatever system they were written for."""

from pathlib import Path

import pytest

from hrda_lit.system.paths import below, require_plain

LEAVING = [
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "/etc/passwd",
    "C:\\x",
    "C:x",
    "\\x",
    "..\\x",
    "a\\..\\x",
    "//host/share/x",
]
EMPTY = ["", " ", ".", "./", "a\0b", "a\nb", "a\x1b[31m", "\x7f"]


@pytest.mark.parametrize("name", [*LEAVING, *EMPTY])
def test_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"submission\.file is .*need a path below its folder") as caught:
        below(Path("root"), name, "submission.file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "a/b.png", "...", "a..b", "été é/ü.png", "a b/[c].png", "**/*.png", "~x"])
def test_allowed(name: str) -> None:
    assert below(Path("root"), name, "x") == Path("root") / name


@pytest.mark.parametrize("name", ["a/b", "a\\b", *LEAVING, *EMPTY])
def test_a_plain_name_has_no_folder(name: str) -> None:
    with pytest.raises(ValueError, match="x is "):
        require_plain(name, "x")


@pytest.mark.parametrize("name", [None, 3, ["a"]])
def test_only_text_is_a_name(name: object) -> None:
    with pytest.raises(ValueError, match="no text"):
        require_plain(name, "x")
