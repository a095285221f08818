"""Plots of runs: mIoU over the keys of a sweep, and logged numbers over training steps."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from matplotlib.image import AxesImage

from hrda_lit.pictures.figures import DPI, common_legend, plain_text, shorten
from hrda_lit.system.text import printable
from hrda_lit.tables.groups import RunGroup, best, short
from hrda_lit.tables.results import Curve

PANEL = 3.6  # inches
CELL, WIDEST = 0.5, 40.0  # inches, the least width of a cell of a heat map, and the largest of a panel
COLUMNS = 4
LETTERS = 40  # that fit side by side below a panel
SPARSE = 0.5  # below this share of filled cells, e.g. for random search, a heat map is mostly holes
STYLES = ("-", "--", ":", "-.")  # one for each ten colours
RATES = ("val/", "target/", "train/pseudo/")  # what is logged as a fraction
NAMES = {"val/miou": "mIoU on the validation set", "train/pseudo/q": "q, the share of confident pixels"}


@plain_text()
def draw_sweep(groups: Sequence[RunGroup]) -> Figure:
    """Draw mean mIoU over the swept keys; the groups come best first.

    It is a line with spread for one key, a heat map for two, one heat map per choice of the further
    keys for more; one panel of dots per key if groups are scattered over their keys.
    """
    groups = [_printable(group) for group in groups]
    keys = list(groups[0].values)
    cells = math.prod(len(_places(groups, key)) for key in keys)
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


def _printable(group: RunGroup) -> RunGroup:
    values = {printable(key): printable(value) for key, value in group.values.items()}
    return RunGroup(values, group.runs)


def _title(groups: Sequence[RunGroup], keys: Sequence[str]) -> str:
    *first, last = keys or [""]
    over = f" over {', '.join(first)} and {last}" if first else f" over {last}" if last else ""
    counts = [len(group.runs) for group in groups]
    if max(counts) == 1:
        return f"mIoU{over}, one run each"
    spread = " and standard deviation" if len(keys) < 2 else ""
    runs = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else max(counts)
    return f"mIoU{over}, mean{spread} of {runs} runs"


def _panels(count: int, width: float = PANEL) -> tuple[Figure, list[Axes]]:
    rows, columns = math.ceil(count / COLUMNS), min(count, COLUMNS)
    size = (max(width * columns + 1, 5.5), PANEL * rows + 0.7)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def _draw_seeds(axes: Axes, group: RunGroup) -> None:
    x = [printable(run.overrides.get("seed", run.number)) for run in group.done]
    axes.plot(x, [100 * miou for miou in group.mious], "o")
    if group.mious:
        axes.axhline(100 * group.miou, linestyle="--", color="grey", label="mean")
    if len(group.mious) > 1:
        low, high = group.miou - group.spread, group.miou + group.spread
        axes.axhspan(100 * low, 100 * high, color="grey", alpha=0.15)
    axes.set(xlabel="seed", ylabel="mIoU %")


def _draw_key(axes: Axes, groups: Sequence[RunGroup], key: str, joined: bool) -> None:
    """Draw mean and spread over one key; points are joined if its values are numbers."""
    places = _places(groups, key)
    numbers = all(isinstance(place, float) for place in places.values())
    done = sorted((group for group in groups if group.mious), key=lambda group: places[group.values[key]])
    x = [places[group.values[key]] for group in done]
    miou = [100 * group.miou for group in done]
    spread = [100 * group.spread for group in done]
    axes.errorbar(x, miou, spread, fmt="o-" if joined and numbers else "o", capsize=4)
    winner = best(groups)
    if winner is not None:
        place = places[winner.values[key]]
        axes.plot(place, 100 * winner.miou, "*", markersize=16, color="tab:red", label="best")
    axes.set(xlabel=key, ylabel="mIoU %")
    if not numbers:
        axes.margins(x=0.2)  # words at the ends are wider than numbers
    if not numbers or len(places) <= 8:
        _set_xticks(axes, list(places.values()), list(places))


def _set_xticks(axes: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Label places on the horizontal axis, aslant where the names would cover each other."""
    texts = [shorten(short(name)) for name in names]
    if max(map(len, texts)) * len(texts) > LETTERS:
        axes.set_xticks(places, texts, rotation=25, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(places, texts)


def _heat_maps(groups: Sequence[RunGroup], keys: Sequence[str]) -> Figure:
    x, y, *others = keys
    choices = list(product(*(_places(groups, key) for key in others)))
    columns, rows = list(_places(groups, x)), list(_places(groups, y))
    figure, panels = _panels(len(choices), min(max(PANEL, CELL * len(columns)), WIDEST))
    mious = [100 * group.miou for group in groups if group.mious] or [0.0]
    scale, winner = Normalize(min(mious), max(mious)), best(groups)
    for axes, choice in zip(panels, choices, strict=True):
        fixed = dict(zip(others, choice, strict=True))
        chosen = [group for group in groups if fixed.items() <= group.values.items()]
        image = _heat_map(axes, chosen, columns, rows, scale, winner)
        axes.set(xlabel=x, ylabel=y, title=", ".join(f"{key}={value}" for key, value in fixed.items()))
    figure.colorbar(image, ax=panels, label="mIoU %, ★ best" if winner else "mIoU %")
    return figure


def _heat_map(
    axes: Axes,
    chosen: Sequence[RunGroup],
    columns: list[str],
    rows: list[str],
    scale: Normalize,
    winner: RunGroup | None,
) -> AxesImage:
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
    _set_xticks(axes, range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), [shorten(short(value)) for value in rows])
    return axes.imshow(cells, norm=scale, aspect="auto", origin="lower")


def _places(groups: Sequence[RunGroup], key: str) -> dict[str, float]:
    """Place the values of a key on an axis: numbers by size, words side by side in the order of jobs."""
    ordered = sorted(groups, key=lambda group: group.runs[0].number)
    choices = list(dict.fromkeys(group.values[key] for group in ordered))
    try:
        numbers = {choice: float(choice) for choice in sorted(choices, key=float)}
    except ValueError:
        numbers = {}
    if numbers and all(abs(number) < 1e30 for number in numbers.values()):  # what an axis can show
        return numbers
    return {choice: index for index, choice in enumerate(choices)}


@plain_text()
def draw_curves(curves: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Draw mean and sample standard deviation over steps, a panel per number; rates are drawn in percent.

    Curves come by number, then by training, the same for every number; empty ones are not drawn.
    """
    figure = Figure(figsize=(5 * len(curves) + 0.5, 4.4), dpi=DPI, layout="constrained")
    panels, is_spread = figure.subplots(1, len(curves), squeeze=False)[0], False
    for axes, (number, lines) in zip(panels, curves.items(), strict=True):
        rate = number.startswith(RATES)
        for index, (name, curve) in enumerate(lines.items()):
            if curve:
                _draw_curve(axes, curve, printable(name), index, 100 if rate else 1)
                is_spread = is_spread or any(len(values) > 1 for values in curve.values())
        title = NAMES.get(number, printable(number))
        axes.set(xlabel="training step", title=title, ylabel="percent" if rate else "")
        axes.grid(alpha=0.3)
    if is_spread:
        figure.suptitle("mean and standard deviation over seeds", fontsize="medium", color="0.35")
    common_legend(figure)
    return figure


def _draw_curve(axes: Axes, curve: Curve, name: str, index: int, unit: float) -> None:
    steps, colour, style = list(curve), f"C{index}", STYLES[index // 10 % len(STYLES)]
    middle = [unit * mean(values) for values in curve.values()]
    spread = [unit * stdev(values) if len(values) > 1 else 0.0 for values in curve.values()]
    low = [m - s for m, s in zip(middle, spread, strict=True)]
    high = [m + s for m, s in zip(middle, spread, strict=True)]
    marker = "." if len(steps) < 20 else None
    axes.plot(steps, middle, color=colour, linestyle=style, label=name, marker=marker)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
