"""The plot of a confusion matrix."""

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.pictures.figures import DPI, plain_text
from hrda_lit.system.text import printable

READABLE = 48  # classes whose cells hold their numbers
CELL, SMALL_CELL = 0.42, 0.16  # inches, of a cell with a number and of one without
LETTER = 0.085  # inches, the width of a letter
ABSENT = " (absent)"


@plain_text
def matrix(counts: Int[Tensor, "C C"], classes: Classes, title: str = "confusion matrix") -> Figure:
    """Draw the percentage of the pixels of each true class (row) that are predicted as each class (column).

    Args:
        counts: pixels by label (rows) and prediction (columns).
        classes: names.
        title: of the figure.

    Returns:
        The figure; rows of classes without a pixel are grey.
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
