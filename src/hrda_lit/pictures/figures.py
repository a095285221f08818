"""Figures: encoded as pixels or vectors, their legends, and the plot of a confusion matrix."""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib import font_manager, rc_context, rcParams
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from PIL import Image
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.system.files import write_atomically
from hrda_lit.system.progress import announce
from hrda_lit.system.text import printable

SUFFIXES = (".png", ".pdf", ".svg")
DPI = 120  # of plots; sheets of pictures choose their own, so that no picture is resampled
READABLE = 48  # classes whose cells hold their numbers
CELL, SMALL_CELL = 0.42, 0.16  # inches, of a cell with a number and of one without
LETTER, LINE = 0.085, 0.22  # inches, the width of a letter and the height of a line of a legend

# Fonts of scripts that matplotlib's own font lacks, used where they are installed.
FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
         "Microsoft YaHei", "PingFang SC", "Malgun Gothic", "Arial Unicode MS", "Noto Emoji")  # fmt: skip


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw names as they are: a dollar sign begins no formula, a letter without a font is a box."""
    installed = font_manager.get_font_names()
    families = [*rcParams["font.family"], *(name for name in FONTS if name in installed)]
    with rc_context({"text.parse_math": False, "font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def suffix_of(path: Path) -> str:
    """Return the suffix of a picture to be written; raise a ValueError if it is none of `SUFFIXES`."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"{path} ends in none of {known}; choose one, .pdf or .svg for a paper.")
    return suffix


def encode(drawn: Figure | Image.Image, suffix: str = ".png") -> bytes:
    """Encode as one of `SUFFIXES`, figures in .pdf and .svg as vectors; equal figures give equal bytes."""
    buffer, kind = io.BytesIO(), suffix.removeprefix(".")
    if isinstance(drawn, Image.Image):
        drawn.save(buffer, format=kind)
    else:
        undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        with plain_text():
            drawn.savefig(buffer, format=kind, metadata=undated)
    return buffer.getvalue()


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure; the suffix of its path says how.

    Raises:
        ValueError: if the suffix is none of `SUFFIXES`.
        OSError: if it cannot be written.
    """
    with announce(f"drawing {path}"):
        write_atomically(path, encode(figure, suffix_of(path)))


def decode(png: bytes) -> Image.Image:
    """Decode a PNG into an RGB image."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def shorten(text: str, most: int = 32) -> str:
    """Cut the middle of text that is longer than `most` letters."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def common_legend(figure: Figure) -> None:
    """Put one legend for all panels below the figure, which grows by it; lines of one name look alike."""
    lines: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        lines |= {str(name): handle for name, handle in zip(names, handles, strict=True)}
    if lines:
        names = [shorten(name, 60) for name in lines]
        columns = max(1, min(len(names), int(figure.get_figwidth() * 10 / (max(map(len, names)) + 6))))
        figure.set_figheight(figure.get_figheight() + LINE * math.ceil(len(names) / columns))
        figure.legend(list(lines.values()), names, loc="outside lower center", ncols=columns, frameon=False)


@plain_text()
def matrix(counts: Int[Tensor, "C C"], classes: Classes, title: str = "confusion matrix") -> Figure:
    """Draw the percentage of the pixels of each true class (row) that are predicted as each class (column).

    Rows of classes without a pixel are grey.
    """
    total = counts.sum(1)
    percent = (100 * counts.double() / total[:, None]).cpu().numpy()  # NaN for classes without a pixel
    predicted = [shorten(printable(name)) for name in classes.names]
    names = [name if pixels else f"{name} (absent)" for name, pixels in zip(predicted, total.tolist(), strict=True)]
    count, readable = len(classes), len(classes) <= READABLE
    side, words = count * (CELL if readable else SMALL_CELL), LETTER * max(map(len, names))
    size = (max(side + words + 2, 6), max(side + words + 1, 5))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.88")
    image = axes.imshow(np.ma.masked_invalid(percent), cmap="Blues", vmin=0, vmax=100)
    letters = "medium" if readable else 6
    axes.set_xticks(range(count), predicted, rotation=90, fontsize=letters)
    axes.set_yticks(range(count), names, fontsize=letters)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(printable(title), wrap=True)
    for place in np.arange(1, count) - 0.5:
        axes.axhline(place, color="white", linewidth=0.5)
        axes.axvline(place, color="white", linewidth=0.5)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.7, label="percent of the true class's pixels")
    for row, column in np.argwhere(percent >= 0.5) if readable else ():
        value = percent[row, column]
        colour = "white" if value > 60 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    return figure
