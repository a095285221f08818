"""Figures: encoded as pixels or vectors, their legends, and the plot of a confusion matrix."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from PIL import Image
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.system.text import printable

SUFFIXES = (".png", ".pdf", ".svg")
DPI = 120  # of plots; sheets of pictures choose their own, so that no picture is resampled
READABLE = 48  # classes whose cells hold their numbers
CELL, SMALL_CELL = 0.42, 0.16  # inches, of a cell with a number and of one without
LETTER = 0.085  # inches, the width of a letter
ABSENT = " (absent)"

# Decorator of functions that draw names from files: dollar signs begin no formula.
plain_text = rc_context({"text.parse_math": False})


def suffix_of(path: Path) -> str:
    """Return the suffix of a picture to be written; raise a ValueError if it is none of `SUFFIXES`."""
    if (suffix := path.suffix.lower()) not in SUFFIXES:
        raise ValueError(f"{path} ends in none of {', '.join(SUFFIXES)}; choose one, .pdf or .svg for a paper.")
    return suffix


@plain_text
def encode(figure: Figure, suffix: str = ".png") -> bytes:
    """Encode a figure as one of `SUFFIXES`, .pdf and .svg as vectors; equal figures give equal bytes."""
    buffer, kind = io.BytesIO(), suffix.removeprefix(".")
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    figure.savefig(buffer, format=kind, metadata=undated)
    return buffer.getvalue()


def decode(png: bytes) -> Image.Image:
    """Decode a PNG into an RGB image."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def legend_below(axes: Axes) -> None:
    """Put the legend of a panel below it, where it covers no data."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small", frameon=False)


def common_legend(figure: Figure) -> None:
    """Put one legend for all panels below the figure; lines of one name look alike."""
    lines: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        lines |= {str(name): handle for name, handle in zip(names, handles, strict=True)}
    if lines:
        columns = max(1, min(len(lines), int(figure.get_figwidth() * 10 / (max(map(len, lines)) + 6))))
        figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=columns, frameon=False)


@plain_text
def matrix(counts: Int[Tensor, "C C"], classes: Classes, title: str = "confusion matrix") -> Figure:
    """Draw the percentage of the pixels of each true class (row) that are predicted as each class (column).

    Rows of classes without a pixel are grey.
    """
    total = counts.sum(1, keepdim=True)
    percent = (100 * counts.double() / total).cpu().numpy()  # NaN for classes without a pixel
    predicted = [printable(name) for name in classes.names]
    names = [name if row else f"{name}{ABSENT}" for name, row in zip(predicted, total[:, 0].tolist(), strict=True)]
    count, readable = len(classes), len(classes) <= READABLE
    side, words = count * (CELL if readable else SMALL_CELL), LETTER * max(map(len, names))
    figure = Figure(figsize=(side + words + 2, side + words + 1), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.88")
    image = axes.imshow(np.ma.masked_invalid(percent), cmap="Blues", vmin=0, vmax=100)
    size = "medium" if readable else 6
    axes.set_xticks(range(count), predicted, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class", title=printable(title))
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
