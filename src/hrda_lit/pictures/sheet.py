"""Contact sheets: pictures side by side with titles and a legend, without resampling."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Int
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from torch import Tensor

from hrda_lit.data.classes import Classes, Colour
from hrda_lit.pictures.layers import Picture
from hrda_lit.system.text import printable

LETTERS = 1 / 27  # height of letters as a fraction of a cell's width
NARROWEST = 360  # smallest width of a cell in pixels
PAGE = 10.0  # inches, the width of a sheet as a vector file
MOST_SHRUNK = 0.75  # smallest scale of words that are too long; beyond it they are cut


class Entry(NamedTuple):
    """A line of a legend."""

    name: str
    colour: Colour


def legend(labels: Iterable[Int[Tensor, "H W"]], classes: Classes) -> list[Entry]:
    """List the classes that occur in labels by id; other ids are "ignored", black as `colourise` paints them."""
    found = {int(one) for label in labels for one in label.flatten().bincount().nonzero()}
    entries = [Entry(classes.names[i], classes.colours[i]) for i in range(len(classes)) if i in found]
    return entries + [Entry("ignored", (0, 0, 0))] * bool(found - {*range(len(classes))})


def in_rows(pictures: Mapping[str, Picture], columns: int = 4) -> list[dict[str, Picture]]:
    """Split titled pictures into rows of at most `columns` (>= 1)."""
    items = [*pictures.items()]
    return [dict(items[start : start + columns]) for start in range(0, len(items), columns)]


def sheet(rows: Sequence[Mapping[str, Picture]], title: str = "", entries: Sequence[Entry] = ()) -> Figure:
    """Draw titled pictures in a grid; the legend fills the end of a shorter row, or stands below.

    Cells have the size of the first picture, or a multiple of it if that is narrower than `NARROWEST`. Encoded as .png,
    every pixel of a picture is a pixel, or a square of pixels, of the sheet.

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
        times = math.ceil(NARROWEST / width)
        self.cell = (times * height, times * width)
        self.letters = self.cell[1] * LETTERS
        self.gap = round(self.letters * 0.6)
        self.head = round(self.letters * 2.6) if title else self.gap
        self.lines = [1 + max(text.count("\n") for text in row) for row in rows]
        self.captions = [round(self.letters * (0.5 + 1.15 * lines)) for lines in self.lines]
        self.width = self.columns * (self.cell[1] + self.gap) + self.gap
        self.dpi = self.width / PAGE
        self._renderer: Any = RendererAgg(1, 1, 72)  # type: ignore[no-untyped-call]  # measures words in pixels

    def draw(self) -> Figure:
        grid = self._top(len(self.rows))
        place = self._legend(grid)
        self.height = max(grid, place.bottom + self.gap if place else 0)
        # A little more, because the canvas cuts what is no whole pixel.
        size = ((self.width + 1e-3) / self.dpi, (self.height + 1e-3) / self.dpi)
        self.figure = Figure(figsize=size, dpi=self.dpi, facecolor="white")
        FigureCanvasAgg(self.figure)
        if self.title:
            self._text(self.title, self.gap, round(self.gap * 0.8), self.width - 2 * self.gap, 1.3, weight="bold")
        for row, pictures in enumerate(self.rows):
            for column, (caption, picture) in enumerate(pictures.items()):
                top, left = self._corner(row, column)
                self._draw_caption(caption, top - round(self.letters * (0.35 + 1.15 * self.lines[row])), left)
                self._draw_picture(picture, top, left)
        if place:
            self._draw_legend(place)
        return self.figure

    def _draw_caption(self, caption: str, top: int, left: int) -> None:
        for line, text in enumerate(caption.split("\n")):
            down = top + round(self.letters * 1.15 * line)
            self._text(text, left, down, self.cell[1], 0.8 if line else 1.0, color="0.35" if line else "black")

    def _draw_picture(self, picture: Picture, top: int, left: int) -> None:
        axes = self.figure.add_axes(self._share(top, left, *self.cell), frameon=False)
        # Not resampled: "none" is also what vector files embed as it is.
        axes.imshow(picture.permute(1, 2, 0).cpu().numpy(), interpolation="none", aspect="auto")
        axes.set_axis_off()

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        """Return top and left of a picture."""
        return self._top(row) + self.captions[row], self.gap + column * (self.cell[1] + self.gap)

    def _top(self, row: int) -> int:
        """Return where a row begins, with its captions."""
        return self.head + sum(self.captions[:row]) + row * (self.cell[0] + self.gap)

    def _legend(self, grid: int) -> "_Place | None":
        """Place the legend on cells without a picture if it fits there, or below the grid."""
        if not self.entries:
            return None
        widest = max(self._measure(entry.name, 0.85) for entry in self.entries)
        item = round(widest + self.letters * 2.2)
        line = round(self.letters * 1.35)
        row, shortest = min(enumerate(map(len, self.rows)), key=lambda item: (item[1], -item[0]))
        if shortest < self.columns:
            top, left = self._corner(row, shortest)
            place = _Place(top, left, self.width - self.gap - left, item, line, len(self.entries))
            if place.height <= self.cell[0]:
                return place
        return _Place(grid, self.gap, self.width - 2 * self.gap, item, line, len(self.entries))

    def _draw_legend(self, place: "_Place") -> None:
        for index, entry in enumerate(self.entries):
            column, row = divmod(index, place.lines)
            left, top = place.left + column * place.item, place.top + row * place.line
            side = round(self.letters * 0.95)
            x, y, w, h = self._share(top, left, side, round(1.4 * side))
            colour = tuple(value / 255 for value in entry.colour)
            self.figure.add_artist(Rectangle((x, y), w, h, facecolor=colour, edgecolor="0.3", linewidth=0.4))
            self._text(entry.name, left + round(1.75 * side), top, place.item, 0.85)

    def _text(self, text: str, left: float, top: float, room: float, scale: float, **style: Any) -> None:
        """Write a line; if it is too long, smaller, then cut in its middle."""
        text, bold = printable(text), style.get("weight") == "bold"
        needed = self._measure(text, scale, bold)
        if needed > room:
            scale *= max(MOST_SHRUNK, room / needed)
        while len(text) > 3 and self._measure(text, scale, bold) > room:
            half = (len(text) - 2) // 2
            text = f"{text[:half]}…{text[-half:]}"
        points = self.letters * scale * 72 / self.dpi
        x, y = left / self.width, 1 - top / self.height
        self.figure.text(x, y, text, fontsize=points, va="top", ha="left", parse_math=False, **style)

    def _measure(self, text: str, scale: float, bold: bool = False) -> float:
        font = FontProperties(size=self.letters * scale, weight="bold" if bold else "normal")
        return float(self._renderer.get_text_width_height_descent(text, font, False)[0])

    def _share(self, top: float, left: float, height: float, width: float) -> tuple[float, float, float, float]:
        """Convert pixels to fractions of the figure: left, bottom, width, height."""
        bottom = self.height - top - height
        return left / self.width, bottom / self.height, width / self.width, height / self.height


class _Place(NamedTuple):
    """The rectangle of a legend in pixels: corner, width, width of an item, height of a line."""

    top: float
    left: float
    width: float
    item: int
    line: int
    items: int

    @property
    def lines(self) -> int:
        return math.ceil(self.items / max(1, int(self.width // self.item)))

    @property
    def height(self) -> int:
        return self.lines * self.line

    @property
    def bottom(self) -> float:
        return self.top + self.height
