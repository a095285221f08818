"""The picture of a confusion matrix."""

from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.pictures.figures import DPI

CELL = 0.42  # inches, in which a number can be read
SMALL = 0.16  # of more classes than `READ`, whose numbers are left out
READ = 48
LETTER = 0.085  # inches that a letter of a name is wide
ABSENT = " (absent)"


def matrix(counts: Int[Tensor, "C C"], classes: Classes, title: str = "") -> Figure:
    """Draw a confusion matrix: which percent of the pixels of a true class (row) are predicted as what (column).

    Args:
        counts: pixels by label (rows) and prediction (columns).
        classes: names.
        title: of the figure.

    Returns:
        The figure; rows of classes without a pixel are grey.
    """
    whole = counts.sum(1, keepdim=True)
    shares = (100 * counts.double() / whole).cpu().numpy()  # NaN where there is no pixel
    count = len(classes)
    cell = CELL if count <= READ else SMALL
    names = [name if row else f"{name}{ABSENT}" for name, row in zip(classes.names, whole[:, 0].tolist(), strict=True)]
    letter, side = LETTER if count <= READ else LETTER * 0.6, count * cell
    left, below = (0.6 + letter * max(map(len, words)) for words in (names, classes.names))
    figure = Figure(figsize=(left + side + 1.4, below + side + 0.6), dpi=DPI)
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, below / height, side / width, side / height))
    axes.set_facecolor("0.88")
    drawn = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=100)
    small: dict[str, Any] = {} if count <= READ else {"fontsize": 6}
    axes.set_xticks(range(count), classes.names, rotation=90, **small)
    axes.set_yticks(range(count), names, **small)
    between = np.arange(1, count) - 0.5
    axes.hlines(between, -0.5, count - 0.5, color="white", linewidth=0.5)
    axes.vlines(between, -0.5, count - 0.5, color="white", linewidth=0.5)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class", fontsize="large")
    axes.set_ylabel("true class", fontsize="large")
    axes.set_title(title or "confusion matrix", fontsize="x-large", pad=12)
    beside = figure.add_axes(
        ((left + side + 0.25) / width, (below + side / 8) / height, 0.22 / width, 0.75 * side / height)
    )
    bar = figure.colorbar(drawn, cax=beside)
    bar.set_label("percent of the true class's pixels")
    for row, column in np.argwhere(shares >= 0.5) if count <= READ else ():
        value = shares[row, column]
        colour = "white" if value > 60 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour)
    return figure
