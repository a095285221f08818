"""Bars and lines in a terminal, which is stood in for; plain lines elsewhere."""

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from hrda_lit.system import progress
from hrda_lit.system.progress import announce, track
from hrda_lit.system.text import PlainConsole


class Screen(io.StringIO):
    """A terminal: what it was told to draw, and what is left of it to see."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return the lines that are left, after moves of the cursor and erased lines."""
        lines, row = [""], 0
        for text, count, order in re.findall(r"([^\x1b]+)|\x1b\[[?]?(\d*)([A-Za-z])", self.getvalue()):
            if order == "A":
                row -= int(count or 1)
            elif order == "K":
                lines[row] = ""
            for part in text.splitlines(keepends=True):
                lines[row] += part.rstrip("\r\n")
                if part.endswith("\n"):
                    row += 1
                    lines += [""] * (row == len(lines))
        return [line for line in lines if line]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Screen]:
    """Return what puts a terminal of 80 columns in place of the streams; pytest puts its own there before a test."""

    def begin() -> Screen:
        made = Screen()
        for stream in ("stdout", "stderr"):
            monkeypatch.setattr(sys, stream, made)
        monkeypatch.setattr(progress, "PlainConsole", lambda **o: PlainConsole(force_terminal=True, width=80, **o))
        monkeypatch.setenv("TERM", "xterm")
        return made

    return begin


def test_a_bar_counts_and_is_removed(stand_in: Callable[[], Screen]) -> None:
    screen = stand_in()
    assert list(track(iter("abc"), "reading [b]files", 3)) == ["a", "b", "c"]
    drawn = screen.getvalue()
    assert "reading [b]files" in drawn
    assert "3/3" in drawn
    assert screen.lines() == []


def test_a_line_says_what_is_done_now(stand_in: Callable[[], Screen]) -> None:
    screen = stand_in()
    with announce("loading") as tell:
        tell("tracing")
    drawn = screen.getvalue()
    assert "tracing" in drawn
    assert "0:00:00" in drawn


def test_one_at_a_time(stand_in: Callable[[], Screen]) -> None:
    screen = stand_in()
    with announce("outer"):
        assert list(track([1, 2], "inner")) == [1, 2]
    assert "outer" in screen.getvalue()
    assert "inner" not in screen.getvalue()


def test_log_lines_stand_above(stand_in: Callable[[], Screen]) -> None:
    screen = stand_in()
    root, handler = logging.getLogger(), logging.StreamHandler(screen)
    root.addHandler(handler)
    try:
        with announce("loading"):
            root.warning("something is odd")
        assert handler.stream is screen
    finally:
        root.removeHandler(handler)
    assert "loading" in screen.getvalue()
    assert screen.lines() == ["something is odd"]


def test_what_goes_into_a_pipe_is_not_drawn(stand_in: Callable[[], Screen], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = stand_in()
    monkeypatch.setattr(sys, "stdout", pipe := io.StringIO())
    with announce("loading"):
        print("result")
    assert pipe.getvalue() == "result\n"
    assert "result" not in screen.getvalue()


def test_elsewhere_a_plain_line_every_half_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock: Iterator[float] = iter([0.0, 0.5, 1.5, 20.0, 40.0, 50.0])
    monkeypatch.setattr(progress, "PATIENCE", 1.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(track(iter(range(6)), "counting", 6)) == [*range(6)]
    out, said = capsys.readouterr()
    assert (out, said) == ("", "counting ... 2 of 6, about 3 s left\ncounting ... 4 of 6, about 20 s left\n")


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2], "counting")) == [1, 2]
    with announce("loading"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("rank", "said"), [("0", "loading ...\n"), ("1", "")])
def test_what_takes_long_says_so_once(
    rank: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "Timer", Now)
    with announce("loading"), announce("reading a part of it"):
        pass
    assert capsys.readouterr().err == said


class Now:
    """A timer whose time is over at once."""

    def __init__(self, interval: float, function, args) -> None:
        self.function, self.args = function, args

    def start(self) -> None:
        self.function(*self.args)

    def cancel(self) -> None:
        pass


def test_an_error_removes_the_bar(stand_in: Callable[[], Screen]) -> None:
    screen = stand_in()
    with pytest.raises(ValueError, match="odd"), announce("loading"):
        raise ValueError("odd")
    assert screen.lines() == []
    assert progress._shown == []
