"""Tables of text: alignment, width, and text of others shown as it is."""

import io
import sys

import pytest

from hrda_lit.system.table import LONGEST_WORD, Table, as_csv, as_text, show

HOSTILE = ["[/x]", "[bold red]y", "\x1b[2J", "a\nb", "\r", "\ud800", ":smile:", "a|b"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("narrow", [False, True])
def test_text_from_files_is_shown_as_it_is(text: str, narrow: bool) -> None:
    table = Table(["class", text], title=text, caption=text, narrow=narrow)
    table.add(text, "1.0")
    shown = as_text(table, f"note: {text}")
    assert all(sign.isprintable() or sign == "\n" for sign in shown)
    expected = text if text.isprintable() else text.encode("unicode_escape").decode()
    assert shown.count(expected) == 5, "heading, title, caption, cell and note"
    assert f"\\u{ord('a'):04x}" not in table.as_markdown()
    assert len(table.as_markdown().splitlines()) == 3


def test_markdown_shows_names_as_they_are() -> None:
    table = Table(["a|b", "source_only_demo"])
    table.add("`x` *y* <br>", "_z_ \\")
    assert table.as_markdown().splitlines() == [
        "| a\\|b | source_only_demo |", "| --- | --- |", "| \\`x\\` \\*y\\* \\<br> | \\_z\\_ \\\\ |",
    ]  # fmt: skip


def test_a_terminal_that_lacks_letters_shows_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    show("60.0 \u00b1 10.0")
    sys.stdout.flush()
    assert written.getvalue() == b"60.0 \\xb1 10.0\n"


@pytest.mark.parametrize("narrow", [False, True])
def test_no_column_is_cut_off_on_a_narrow_screen(narrow: bool) -> None:
    numbers = [f"{number + 0.5:.1f}" for number in range(20)]
    table = Table(["name", *map(str, range(20))], narrow=narrow)
    table.add("x", *numbers)
    [row] = [line for line in as_text(table, width=40).splitlines() if "0.5" in line]
    assert row.replace("│", "").split() == ["x", *numbers]


def test_numbers_are_aligned_right_and_words_left() -> None:
    table = Table(["name", "word", "score"])
    table.add("a", "x", "1.0")
    table.add("b", "longer", "absent")
    table.end_section()
    table.add("mean", "", "-12.5 ± 1.0", style="bold")
    lines = as_text(table).splitlines()
    assert "│ a    │ x      │         1.0 │" in lines
    assert "│ b    │ longer │      absent │" in lines
    assert "│ mean │        │ -12.5 ± 1.0 │" in lines


def test_a_narrow_table_keeps_its_numbers_whole() -> None:
    table = Table(["experiment", "data", "set differently", "mIoU", "gain over source-only"], narrow=True)
    table.add("x" * 60, "source → target", "key=" + "y" * 60, "54.0 ± 0.1", "+24.0")
    lines = as_text(table, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "54.0 ± 0.1" in "".join(lines)
    assert "x" * LONGEST_WORD in "".join(lines)


def test_lines_are_never_broken(capsys: pytest.CaptureFixture[str]) -> None:
    show("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_csv_quotes_and_escapes() -> None:
    assert as_csv([("a,b", 0.5), ("\ud800", "")]) == b'"a,b",0.5\n\\ud800,\n'
    assert as_csv([(None, float("nan"), 0)]) == b",,0\n"
