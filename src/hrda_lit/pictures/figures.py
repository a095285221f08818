"""Figures: encoded as pixels or vectors, and their legends."""

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from PIL import Image

SUFFIXES = (".png", ".pdf", ".svg")
DPI = 120  # of plots; sheets of pictures choose their own, so that no picture is resampled
# Decorator of functions that draw names from files: dollar signs begin no formula.
plain_text = rc_context({"text.parse_math": False})


def suffix_of(path: Path) -> str:
    """Return the suffix of a picture to be written.

    Args:
        path: of the picture.

    Raises:
        ValueError: if it is none of `SUFFIXES`.
    """
    if (suffix := path.suffix.lower()) not in SUFFIXES:
        raise ValueError(f"{path} ends in none of {', '.join(SUFFIXES)}; choose one, .pdf or .svg for a paper.")
    return suffix


@plain_text
def encode(figure: Figure, suffix: str = ".png") -> bytes:
    """Encode a figure; equal figures give equal bytes.

    Args:
        figure: the figure.
        suffix: one of `SUFFIXES`; .pdf and .svg hold text and lines as vectors.
    """
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
