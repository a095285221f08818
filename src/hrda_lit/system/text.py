"""Make text of files safe to print: names, keys and records may hold escape codes or markup."""

import logging
from typing import Any

from rich.console import Console
from rich.text import Text


def printable(text: object) -> str:
    r"""Escape whatever could move the cursor, colour the terminal or begin a line, e.g. a line break as `\n`.

    Args:
        text: anything; its `str` is used.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in shown)


class PlainConsole(Console):
    """A console for text that is not ours: no markup, no highlighting, and nothing unprintable.

    It applies to printed text and to titles, headings and cells of tables.

    Args:
        **options: of rich's Console, e.g. `file`, `width`, `stderr`, `soft_wrap`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render text after `printable`."""
        return super().render_str(printable(text), **options)


class PrintableFormatter(logging.Formatter):
    """A formatter whose messages are `printable`; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of logging
        """Format the message of a record."""
        return printable(super().formatMessage(record))
