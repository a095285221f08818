"""Contact sheets: pictures side by side with titles and a legend, without resampling."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Int
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from torch import Tensor

from hrda_lit.data.classes import Classes, Colour
from hrda_lit.pictures.figures import plain_text, shorten
from hrda_lit.pictures.layers import Picture
from hrda_lit.system.text import printable

LETTERS = 1 / 27  # height of letters as a fraction of a cell's width
NARROWEST = 360  # smallest width of a cell in pixels
LARGEST = 20_000  # pixels of all columns or rows; a side of 65,536 cannot be drawn, and memory is finite
PAGE = 10.0  # inches, the width of a sheet as a vector file
Edges = tuple[float, float, float, float]  # left, bottom, width, height
MOST_SHRUNK = 0.75  # smallest scale of words that are too long; beyond it they are cut


class Entry(NamedTuple):
    """A line of a legend."""

    name: str
    colour: Colour


def legend(labels: Iterable[Int[Tensor, "H W"]], classes: Classes) -> list[Entry]:
    """List the classes that occur in labels by id; other ids are "ignored" and black."""
    found: set[int] = set()
    for label in labels:
        found.update(label.flatten().bincount().nonzero().flatten().tolist())
    known = range(len(classes))
    entries = [Entry(classes.names[index], classes.colours[index]) for index in known if index in found]
    if found - set(known):
        entries.append(Entry("ignored", (0, 0, 0)))
    return entries


def in_rows(pictures: Mapping[str, Picture], columns: int = 4) -> list[dict[str, Picture]]:
    """Split titled pictures into rows of at most `columns` (>= 1)."""
    items = [*pictures.items()]
    return [dict(items[start : start + columns]) for start in range(0, len(items), columns)]


@plain_text()
def sheet(rows: Sequence[Mapping[str, Picture]], title: str = "", entries: Sequence[Entry] = ()) -> Figure:
    """Draw titled pictures in a grid; the legend fills the end of a shorter row, or stands below.

    Cells have the size of the first picture, or a multiple of it if that is narrower than
    `NARROWEST`. Encoded as .png, every pixel of a picture is a pixel, or a square of pixels, unless
    the sheet would be larger than `LARGEST`.

    Args:
        rows: title to picture, at least one, all of one size; text after a line break in a title is smaller.
        title: heading of the sheet.
        entries: legend.
    """
    return _Sheet(rows, title, entries).draw()


class _Sheet:
    """Draw a sheet; lengths are pixels, measured from the upper left corner."""

    def __init__(self, rows: Sequence[Mapping[str, Picture]], title: str, entries: Sequence[Entry]) -> None:
        self.rows, self.title, self.entries = rows, title, entries
        self.columns = max(map(len, rows))
        height, width = next(iter(rows[0].values())).shape[-2:]
        # Of pictures that are too large together, every second, third, ... pixel is shown.
        self.step = math.ceil(max(self.columns * width, len(rows) * height) / LARGEST)
        times = math.ceil(NARROWEST * self.step / width)
        self.cell = (times * -(-height // self.step), times * -(-width // self.step))
        self.letters = self.cell[1] * LETTERS
        self.gap = round(self.letters * 0.6)
        self.head = round(self.letters * 2.6) if title else self.gap
        self.lines = [1 + max(text.count("\n") for text in row) for row in rows]
        self.captions = [round(self.letters * (0.5 + 1.15 * lines)) for lines in self.lines]
        self.width = self.columns * (self.cell[1] + self.gap) + self.gap
        self.dpi = self.width / PAGE
        self._renderer: Any = RendererAgg(1, 1, 72)  # type: ignore[no-untyped-call]  # measures words in pixels
        widest = max((self._measure(printable(entry.name), 0.85) for entry in entries), default=0)
        self.item = min(round(widest + self.letters * 2.2), self.cell[1])  # width of an entry of the legend
        self.line = round(self.letters * 1.35)

    def draw(self) -> Figure:
        self.height = self._top(len(self.rows))
        place = self._place_legend(self.height)
        if self.entries:
            self.height = max(self.height, place[0] + place[2] * self.line + self.gap)
        # A little more, because the canvas cuts off fractions of a pixel.
        size = ((self.width + 1e-3) / self.dpi, (self.height + 1e-3) / self.dpi)
        self.figure = Figure(figsize=size, dpi=self.dpi, facecolor="white")
        if self.title:
            room = self.width - 2 * self.gap
            self._text(self.title, self.gap, round(self.gap * 0.8), room, 1.3, weight="bold")
        for row, pictures in enumerate(self.rows):
            for column, (caption, picture) in enumerate(pictures.items()):
                top, left = self._corner(row, column)
                self._draw_caption(caption, top - round(self.letters * (0.35 + 1.15 * self.lines[row])), left)
                self._draw_picture(picture, top, left)
        self._draw_legend(*place)
        return self.figure

    def _draw_caption(self, caption: str, top: int, left: int) -> None:
        for line, text in enumerate(caption.split("\n")):
            down = top + round(self.letters * 1.15 * line)
            scale, colour = (0.8, "0.35") if line else (1.0, "black")
            self._text(text, left, down, self.cell[1], scale, color=colour)

    def _draw_picture(self, picture: Picture, top: int, left: int) -> None:
        axes = self.figure.add_axes(self._share(top, left, *self.cell), frameon=False)
        # Not resampled: "none" is also what vector files embed as it is.
        pixels = picture[:, :: self.step, :: self.step].permute(1, 2, 0).cpu().numpy()
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        """Return top and left of a picture."""
        return self._top(row) + self.captions[row], self.gap + column * (self.cell[1] + self.gap)

    def _top(self, row: int) -> int:
        """Return where a row begins, with its captions."""
        return self.head + sum(self.captions[:row]) + row * (self.cell[0] + self.gap)

    def _place_legend(self, below: int) -> tuple[int, int, int]:
        """Return top, left and lines of the legend: on cells without a picture if it fits, or below."""
        lengths = [len(row) for row in self.rows]
        row = len(lengths) - 1 - lengths[::-1].index(min(lengths))  # the last of the shortest
        if lengths[row] < self.columns:
            top, left = self._corner(row, lengths[row])
            lines = self._legend_lines(self.width - self.gap - left)
            if lines * self.line <= self.cell[0]:
                return top, left, lines
        return below, self.gap, self._legend_lines(self.width - 2 * self.gap)

    def _legend_lines(self, width: int) -> int:
        return math.ceil(len(self.entries) / max(1, width // self.item))

    def _draw_legend(self, top: int, left: int, lines: int) -> None:
        side = round(self.letters * 0.95)
        words = round(1.75 * side)
        for index, entry in enumerate(self.entries):
            column, row = divmod(index, lines)
            x, y = left + column * self.item, top + row * self.line
            edge_x, edge_y, width, height = self._share(y, x, side, round(1.4 * side))
            colour = [level / 255 for level in entry.colour]
            self.figure.add_artist(Rectangle((edge_x, edge_y), width, height, ec="0.3", lw=0.4, fc=colour))
            self._text(entry.name, x + words, y, self.item - words, 0.85)

    def _text(self, text: str, left: float, top: float, room: float, scale: float, **style: Any) -> None:
        """Write a line; if it is too long, smaller, then cut in its middle."""
        text, bold = printable(text), style.get("weight") == "bold"
        needed = self._measure(text, scale, bold)
        if needed > room:
            scale *= max(MOST_SHRUNK, room / needed)
        while len(text) > 3 and self._measure(text, scale, bold) > room:
            text = shorten(text, len(text) - 2)
        points = self.letters * scale * 72 / self.dpi
        x, y = left / self.width, 1 - top / self.height
        self.figure.text(x, y, text, fontsize=points, va="top", ha="left", parse_math=False, **style)

    def _measure(self, text: str, scale: float, bold: bool = False) -> float:
        font = FontProperties(size=self.letters * scale, weight="bold" if bold else "normal")
        return float(self._renderer.get_text_width_height_descent(text, font, False)[0])

    def _share(self, top: float, left: float, height: float, width: float) -> Edges:
        """Convert pixels to fractions of the figure: left, bottom, width, height."""
        bottom = self.height - top - height
        return left / self.width, bottom / self.height, width / self.width, height / self.height
