"""Plots: mIoU over the swept keys of a sweep, and logged numbers over training steps."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws

from hrda_lit.pictures.figures import DPI, common_legend, plain_text
from hrda_lit.system.text import printable
from hrda_lit.tables.groups import RunGroup, best, short
from hrda_lit.tables.records import Results, read_curve
from hrda_lit.tables.results import Training

PANEL = 3.6  # inches
COLUMNS = 4
SPARSE = 0.5  # below this share of filled cells, e.g. for random search, a heat map is mostly holes
RATES = ("val/", "target/", "train/pseudo/")  # what is logged as a fraction
NAMES = {"val/miou": "mIoU on the validation set", "train/pseudo/q": "q, the share of confident pixels"}
Curve = dict[int, list[float]]  # the value of every run, by training step


@plain_text
def draw_sweep(groups: Sequence[RunGroup]) -> Figure:
    """Draw mean mIoU over the swept keys; the groups come best first.

    Returns:
        A line with spread for one key, a heat map for two, one heat map per choice of the further keys for more; one
        panel of dots per key if groups are scattered over their keys.
    """
    texts = ({printable(key): printable(value) for key, value in group.values.items()} for group in groups)
    groups = [RunGroup(values, group.runs) for values, group in zip(texts, groups, strict=True)]
    keys = list(groups[0].values)
    cells = math.prod(len(_choices(groups, key)) for key in keys)
    if not keys:
        figure, [axes] = _panels(1)
        _draw_seeds(axes, groups[0])
    elif len(keys) == 1 or len(groups) < SPARSE * cells:
        figure, panels = _panels(len(keys))
        for axes, key in zip(panels, keys, strict=True):
            _draw_key(axes, groups, key, joined=len(keys) == 1)
    else:
        figure = _heat_maps(groups, keys)
    figure.suptitle(_title(groups, keys), wrap=True)
    common_legend(figure)
    return figure


def _title(groups: Sequence[RunGroup], keys: Sequence[str]) -> str:
    *first, last = keys or [""]
    over = f" over {', '.join(first)}{' and ' * bool(first)}{last}" if keys else ""
    counts = [len(group.runs) for group in groups]
    if max(counts) == 1:
        return f"mIoU{over}, one run each"
    spread = " and standard deviation" if len(keys) < 2 else ""
    runs = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else max(counts)
    return f"mIoU{over}, mean{spread} of {runs} runs"


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    rows, columns = math.ceil(count / COLUMNS), min(count, COLUMNS)
    figure = Figure(figsize=(max(PANEL * columns + 1, 5.5), PANEL * rows + 1.0), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def _draw_seeds(axes: Axes, group: RunGroup) -> None:
    x = [printable(run.overrides.get("seed", run.number)) for run in group.done]
    axes.plot(x, [100 * miou for miou in group.mious], "o")
    if group.mious:
        axes.axhline(100 * group.miou, linestyle="--", color="grey", label="mean")
    axes.set(xlabel="seed", ylabel="mIoU %")


def _draw_key(axes: Axes, groups: Sequence[RunGroup], key: str, joined: bool) -> None:
    """Draw mean and spread over one key; points are joined if its values are numbers."""
    places = _places(groups, key)
    numbers = all(isinstance(place, float) for place in places.values())
    done = sorted((group for group in groups if group.mious), key=lambda group: places[group.values[key]])
    x = [places[group.values[key]] for group in done]
    spread = [100 * group.spread for group in done]
    axes.errorbar(x, [100 * group.miou for group in done], spread, fmt="o-" if joined and numbers else "o", capsize=4)
    if winner := best(groups):
        place = places[winner.values[key]]
        axes.plot(place, 100 * winner.miou, "*", markersize=16, color="tab:red", label="best")
    axes.set(xlabel=key, ylabel="mIoU %")
    _label_places(axes, places, numbers)


def _label_places(axes: Axes, places: Mapping[str, float], numbers: bool) -> None:
    if not numbers:
        axes.margins(x=0.2)  # words at the ends are wider than numbers
    if not numbers or len(places) <= 8:
        axes.set_xticks(list(places.values()), [short(choice) for choice in places])


def _heat_maps(groups: Sequence[RunGroup], keys: Sequence[str]) -> Figure:
    x, y, *others = keys
    choices = list(product(*(_choices(groups, key) for key in others)))
    figure, panels = _panels(len(choices))
    mious = [100 * group.miou for group in groups if group.mious] or [0.0]
    scale = Normalize(min(mious), max(mious))
    for axes, choice in zip(panels, choices, strict=True):
        fixed = dict(zip(others, choice, strict=True))
        chosen = [group for group in groups if fixed.items() <= group.values.items()]
        image = _heat_map(axes, chosen, (_choices(groups, x), _choices(groups, y)), scale, best(groups))
        axes.set(xlabel=x, ylabel=y, title=", ".join(f"{key}={value}" for key, value in fixed.items()))
    figure.colorbar(image, ax=panels, label="mIoU %, ★ best" if best(groups) else "mIoU %")
    return figure


def _heat_map(
    axes: Axes,
    chosen: Sequence[RunGroup],
    choices: tuple[list[str], list[str]],
    scale: Normalize,
    winner: RunGroup | None,
) -> Any:
    columns, rows = choices
    cells = [[math.nan] * len(columns) for _ in rows]
    for group in chosen:
        first, second, *_ = group.values.values()
        column, row = columns.index(first), rows.index(second)
        cells[row][column] = 100 * group.miou
        text = f"{100 * group.miou:.1f}" if group.mious else group.runs[0].state
        dark = bool(group.mious) and scale(100 * group.miou) < 0.6
        star = "\n★" if group is winner else ""
        axes.text(column, row, text + star, ha="center", va="center", color="white" if dark else "black")
    axes.set_facecolor("lightgrey")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    return axes.imshow(cells, norm=scale, aspect="auto", origin="lower")


def _places(groups: Sequence[RunGroup], key: str) -> dict[str, float]:
    """Place the choices of a key on an axis: numbers at their value, words side by side."""
    choices = _choices(groups, key)
    try:
        places = {choice: float(choice) for choice in choices}
    except ValueError:
        places = {}
    if places and all(abs(place) < 1e30 for place in places.values()):  # what an axis can show
        return places
    return {choice: index for index, choice in enumerate(choices)}


def _choices(groups: Sequence[RunGroup], key: str) -> list[str]:
    """List the values of a key: numbers by size, words in the order of the jobs."""
    ordered = sorted(groups, key=lambda group: group.runs[0].number)
    choices = list(dict.fromkeys(group.values[key] for group in ordered))
    try:
        return sorted(choices, key=float)
    except ValueError:
        return choices


def gather_curves(trainings: Mapping[str, Training], number: str, results: Results) -> dict[str, Curve]:
    """Read a logged number of every run, at the steps that all runs of a training share.

    Files that cannot be read are noted in `results`, and their runs passed over. A curve is empty if no run logged the
    number.
    """
    curves: dict[str, Curve] = {}
    for heading, training in trainings.items():
        runs = []
        for folder in training.folders:
            try:
                runs.append(read_curve(folder / "metrics.csv", number))
            except ValueError as error:
                results.damaged.append(str(error))
        steps = sorted(set.intersection(*map(set, runs))) if runs else []
        curves[heading] = {step: [run[step] for run in runs] for step in steps}
    return curves


@plain_text
def draw_curves(curves: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Draw mean and sample standard deviation over steps, a panel per number; rates are drawn in percent.

    Args:
        curves: curves by number, then by training, the same ones for every number; empty curves are not drawn.
    """
    figure = Figure(figsize=(5 * len(curves) + 0.5, 4.4), dpi=DPI, layout="constrained")
    for axes, (number, lines) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        rate = number.startswith(RATES)
        for index, (name, curve) in enumerate(lines.items()):
            if curve:
                _draw_curve(axes, curve, printable(name), f"C{index}", 100 if rate else 1)
        axes.set(xlabel="training step", title=NAMES.get(number, printable(number)), ylabel="percent" if rate else "")
        axes.grid(alpha=0.3)
    drawn = [curve for lines in curves.values() for curve in lines.values()]
    if any(len(values) > 1 for curve in drawn for values in curve.values()):
        figure.suptitle("mean and standard deviation over seeds", fontsize="medium", color="0.35")
    common_legend(figure)
    return figure


def _draw_curve(axes: Axes, curve: Curve, name: str, colour: str, unit: float) -> None:
    steps = list(curve)
    middle = [unit * mean(values) for values in curve.values()]
    spread = [unit * stdev(values) if len(values) > 1 else 0.0 for values in curve.values()]
    low = [m - s for m, s in zip(middle, spread, strict=True)]
    high = [m + s for m, s in zip(middle, spread, strict=True)]
    axes.plot(steps, middle, color=colour, label=name, marker="." if len(steps) < 20 else None)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
