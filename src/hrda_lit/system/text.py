"""Make text of files safe to print: names, keys and records may hold escape codes or markup."""

import logging
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.text import Text

LONGEST, LONGEST_REASON = 80, 150  # characters of a value in a sentence, and of a list or what another library says


def printable(text: object) -> str:
    r"""Escape what could move the cursor, colour the terminal or begin a line, e.g. a line break as `\n`."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in shown)


def shorten(text: object, length: int = LONGEST) -> str:
    """Return a text as one printable line, cut off after some characters."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= length else f"{line[:length]} ..."


def count(number: int, noun: str) -> str:
    """Write a number with its noun, e.g. "2 runs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def reason_of(error: BaseException) -> str:
    """Return what an error of another library says as a part of a sentence."""
    return shorten(str(error).strip().rstrip("."), LONGEST_REASON) or type(error).__name__


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal; None, of a process without one, and a window's own are not."""
    return hasattr(stream, "isatty") and stream.isatty()


class PlainConsole(Console):
    """A console for text that is not ours: no markup, no highlighting, and nothing unprintable.

    Printed text and cells of tables are made printable; `options` are those of rich's Console.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)
        if isinstance(self.file, TextIOWrapper):
            self.file.reconfigure(errors="backslashreplace")  # letters that a terminal's encoding lacks

    def on_broken_pipe(self) -> None:
        """Let `exit_on_errors` end the process, where rich would exit with 1."""
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """Render text after `printable`."""
        return super().render_str(printable(text), **options)


def quieten_libraries() -> None:
    """Let libraries log nothing below a warning; Hydra's root logger would print it, some of it a second time."""
    for name in ("lightning.pytorch", "lightning.fabric", "huggingface_hub", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)


class PrintableFormatter(logging.Formatter):
    """A formatter whose messages are `printable`; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of logging
        """Format the message of a record."""
        return printable(super().formatMessage(record))
