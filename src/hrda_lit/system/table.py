"""Tables of text, for the screen, a text file, Markdown or CSV."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table as RichTable

from hrda_lit.system.text import PlainConsole, printable

LONGEST_WORD = 18  # columns of a screen that a word gets before it is broken
_NUMBER = re.compile(r"[-+]?\d")


@dataclass
class Table:
    """Rows of text under headings, between a title and a caption; columns of numbers are aligned right."""

    headings: Sequence[str]
    title: str = ""
    caption: str = ""
    narrow: bool = False  # fits many columns into 80 characters: no frame, and long words are broken
    _sections: list[list[tuple[tuple[str, ...], str]]] = field(default_factory=lambda: [[]])  # cells and style

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

    def as_rich(self) -> RichTable:
        """Convert to what a `PlainConsole` prints."""
        table = RichTable(title=self.title or None, caption=self.caption or None)
        if self.narrow:
            table.padding, table.box, table.show_edge = (0, 1, 0, 0), box.SIMPLE_HEAD, False
        for index, heading in enumerate(self.headings):
            self._add_column(table, index, heading)
        for section in self._sections:
            for cells, style in section:
                table.add_row(*cells, style=style or None)
            table.add_section()
        return table

    def _add_column(self, table: RichTable, index: int, heading: str) -> None:
        cells = [row[index] for row in self.rows if index < len(row)]
        numbers = index > 0 and any(map(_NUMBER.match, cells))
        words = cells if numbers else [word for cell in cells for word in cell.split()]
        longest = min(max(map(len, words), default=0), LONGEST_WORD)
        table.add_column(
            heading,
            justify="right" if numbers else "left",
            overflow="fold",
            min_width=longest if self.narrow else None,
        )

    def as_markdown(self) -> str:
        """Convert to a table of Markdown, without title."""
        lines = [self.headings, ["---"] * len(self.headings), *self.rows]
        escaped = ([printable(cell).replace("|", "\\|") for cell in line] for line in lines)
        return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


def show(*parts: Table | str, console: PlainConsole | None = None) -> None:
    """Print tables, and lines that are never broken, on a console or the standard output."""
    console = console or PlainConsole()
    for part in parts:
        if isinstance(part, Table):
            console.print(part.as_rich())
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
