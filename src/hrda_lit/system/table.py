"""Tables of text, for the screen, a text file, Markdown or CSV."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table as RichTable

from hrda_lit.system.text import PlainConsole, printable

LONGEST_WORD = 18  # columns of a screen that a word gets before it is broken
SHORT_WORD = 5  # and that the word of a heading gets
_NUMBER = re.compile(r"[-+]?\d")
_MARKDOWN = re.compile(r"[\\|`*<]|(?<!\w)_|_(?!\w)")


@dataclass
class Table:
    """Rows of text under headings, between a title and a caption; columns of numbers are aligned right."""

    headings: Sequence[str]
    title: str = ""
    caption: str = ""
    narrow: bool = False  # fits many columns into 80 characters: no frame, and long words are broken
    # Cells and style of each row.
    _sections: list[list[tuple[tuple[str, ...], str]]] = field(default_factory=lambda: [[]])

    def add(self, *cells: object, style: str = "") -> None:
        """Add a row with a cell per heading or fewer, in a style of rich, e.g. "bold" or "dim"."""
        self._sections[-1].append((tuple(map(str, cells)), style))

    def end_section(self) -> None:
        """Draw a line below the last row."""
        self._sections.append([])

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of all rows."""
        return [cells for section in self._sections for cells, _ in section]

    def as_rich(self, width: int) -> RichTable:
        """Convert to what a `PlainConsole` prints, up to `width` characters wide if its words fit into that."""
        table = RichTable(title=self.title or None, caption=self.caption or None)
        gaps = 3 * len(self.headings) + 1
        if self.narrow:
            table.padding, table.box, table.show_edge = (0, 1, 0, 0), box.SIMPLE_HEAD, False
            gaps = 2 * len(self.headings) - 1
        widths = self._widths(width - gaps)
        for index, heading in enumerate(self.headings):
            side: JustifyMethod = "right" if self._has_numbers(index) else "left"
            table.add_column(heading, justify=side, overflow="fold", width=widths[index])
        if sum(widths) + gaps > width:
            table.width = sum(widths) + gaps  # else rich would drop columns
        for section in self._sections:
            for cells, style in section:
                table.add_row(*cells, style=style or None)
            table.add_section()
        return table

    def _widths(self, room: int) -> list[int]:
        """Return what the text of each column needs, or less down to its longest word where `room` is scarce."""
        widths, slack = [], []
        for index, heading in enumerate(self.headings):
            cells = self._cells(index)
            words = cells if self._has_numbers(index) else " ".join(cells).split()
            longest = max([heading[:SHORT_WORD], *words], key=cell_len)
            widths.append(max(map(cell_len, [printable(heading), *cells])))
            slack.append(widths[-1] - min(cell_len(longest), LONGEST_WORD))
        for _ in range(sum(widths) - room):
            index = slack.index(max(slack))
            if slack[index] > 0:
                widths[index] -= 1
                slack[index] -= 1
        return widths

    def _cells(self, index: int) -> list[str]:
        return [printable(row[index]) for row in self.rows if index < len(row)]

    def _has_numbers(self, index: int) -> bool:
        return index > 0 and any(map(_NUMBER.match, self._cells(index)))

    def as_markdown(self) -> str:
        """Convert to a table of Markdown, without title."""
        lines = [list(map(_escape_markdown, line)) for line in (self.headings, *self.rows)]
        lines.insert(1, ["---"] * len(self.headings))
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _escape_markdown(text: str) -> str:
    r"""Escape what would end a cell or change its letters, e.g. `|` as `\|`; an underscore in a word does not."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def show(*parts: Table | str, console: PlainConsole | None = None) -> None:
    """Print tables, and lines that are never broken, on a console or the standard output."""
    console = console or PlainConsole()
    for part in parts:
        if isinstance(part, Table):
            console.print(part.as_rich(console.width), crop=False)
        else:
            console.print(part, soft_wrap=True)


def as_text(*parts: Table | str, width: int = 120) -> str:
    """Lay out what `show` prints, `width` characters wide."""
    page = io.StringIO()
    show(*parts, console=PlainConsole(file=page, width=width))
    return page.getvalue()


def as_csv(lines: Iterable[Iterable[object]]) -> bytes:
    """Convert lines of values to a CSV file; None and NaN are empty."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    for line in lines:
        writer.writerow("" if cell != cell else cell for cell in line)
    return page.getvalue().encode(errors="backslashreplace")
