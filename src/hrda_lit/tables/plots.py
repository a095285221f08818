"""The picture of a sweep: a line for one swept key, a heat map for two, several of them for more."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws

from hrda_lit.pictures.figures import DPI, common_legend, encode
from hrda_lit.tables.settings import Setting, best, short

PANEL = 3.6  # inches
COLUMNS = 4
SPARSE = 0.5  # below this share of filled cells, e.g. for random search, a heat map is mostly holes


def draw(some: Sequence[Setting]) -> bytes:
    """Draw mean mIoU over the swept keys into a PNG file, see `figure`."""
    return encode(figure(some))


def figure(some: Sequence[Setting]) -> Figure:
    """Draw mean mIoU over the swept keys.

    Args:
        some: the settings of a sweep, the best first.

    Returns:
        A line with spread for one key, a heat map for two, one heat map per choice of the further keys for more; for
        settings scattered over their keys, one panel of dots per key.
    """
    keys = list(some[0].values)
    cells = math.prod(len(_choices(some, key)) for key in keys)
    if len(keys) < 2:
        made, [axes] = _panels(1)
        _line(axes, some, *keys)
    elif len(some) < SPARSE * cells:
        made, panels = _panels(len(keys))
        for axes, key in zip(panels, keys, strict=True):
            _dots(axes, some, key)
    else:
        made = _heat_maps(some, keys)
    made.suptitle(_title(some, keys))
    common_legend(made)
    return made


def _title(some: Sequence[Setting], keys: Sequence[str]) -> str:
    over = f"mIoU over {' and '.join([', '.join(keys[:-1])] * (len(keys) > 1) + [keys[-1]])}" if keys else "mIoU"
    fewest, most = (pick(len(setting.jobs) for setting in some) for pick in (min, max))
    if most == 1:
        return f"{over}, one run each"
    spread = " and standard deviation" if len(keys) < 2 else ""
    return f"{over}, mean{spread} of {most if fewest == most else f'{fewest} to {most}'} runs each"


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    rows, columns = math.ceil(count / COLUMNS), min(count, COLUMNS)
    figure = Figure(figsize=(max(PANEL * columns + 1, 5.5), PANEL * rows + 1.0), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def _line(axes: Axes, some: Sequence[Setting], key: str = "") -> None:
    if not key:
        _seeds(axes, some[0])
        return
    places = _places(some, key)
    done = sorted((setting for setting in some if setting.mious), key=lambda setting: places[setting.values[key]])
    x = [places[setting.values[key]] for setting in done]
    y = [100 * setting.miou for setting in done]
    spread = [100 * setting.spread for setting in done]
    axes.errorbar(x, y, spread, fmt="o-" if _numeric(places) else "o", capsize=4)
    _mark_best(axes, some, places, key)
    _name(axes, places, key)


def _seeds(axes: Axes, setting: Setting) -> None:
    x = [job.overrides.get("seed", str(job.number)) for job in setting.done]
    axes.plot(x, [100 * miou for miou in setting.mious], "o")
    if setting.mious:
        axes.axhline(100 * setting.miou, linestyle="--", color="grey", label="mean")
    axes.set(xlabel="seed", ylabel="mIoU %")


def _dots(axes: Axes, some: Sequence[Setting], key: str) -> None:
    places = _places(some, key)
    done = [setting for setting in some if setting.mious]
    axes.plot([places[s.values[key]] for s in done], [100 * s.miou for s in done], "o", alpha=0.7)
    _mark_best(axes, some, places, key)
    _name(axes, places, key)


def _mark_best(axes: Axes, some: Sequence[Setting], places: dict[str, float], key: str) -> None:
    if best(some):
        axes.plot(places[some[0].values[key]], 100 * some[0].miou, "*", markersize=16, color="tab:red", label="best")


def _name(axes: Axes, places: dict[str, float], key: str) -> None:
    axes.set(xlabel=key, ylabel="mIoU %")
    if not _numeric(places):
        axes.margins(x=0.2)  # words at the ends are wider than numbers
    if not _numeric(places) or len(places) <= 8:
        axes.set_xticks(list(places.values()), [short(choice) for choice in places])


def _heat_maps(some: Sequence[Setting], keys: Sequence[str]) -> Figure:
    x, y, *others = keys
    choices = list(product(*(_choices(some, key) for key in others)))
    figure, panels = _panels(len(choices))
    mious = [100 * setting.miou for setting in some if setting.mious] or [0.0]
    scale = Normalize(min(mious), max(mious))
    for axes, choice in zip(panels, choices, strict=True):
        wanted = dict(zip(others, choice, strict=True))
        chosen = [setting for setting in some if wanted.items() <= setting.values.items()]
        image = _heat_map(axes, chosen, (_choices(some, x), _choices(some, y)), scale, best(some))
        axes.set(xlabel=x, ylabel=y, title=", ".join(f"{key}={value}" for key, value in wanted.items()))
    figure.colorbar(image, ax=panels, label="mIoU %, ★ best" if best(some) else "mIoU %")
    return figure


def _heat_map(
    axes: Axes,
    chosen: Sequence[Setting],
    choices: tuple[list[str], list[str]],
    scale: Normalize,
    winner: Setting | None,
) -> Any:
    columns, rows = choices
    cells = [[math.nan] * len(columns) for _ in rows]
    for setting in chosen:
        first, second, *_ = setting.values.values()
        column, row = columns.index(first), rows.index(second)
        cells[row][column] = 100 * setting.miou
        text = f"{100 * setting.miou:.1f}" if setting.mious else setting.jobs[0].state
        dark = bool(setting.mious) and scale(100 * setting.miou) < 0.6
        star = "\n★" if setting is winner else ""
        axes.text(column, row, text + star, ha="center", va="center", color="white" if dark else "black")
    axes.set_facecolor("lightgrey")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    return axes.imshow(cells, norm=scale, aspect="auto", origin="lower")


def _places(some: Sequence[Setting], key: str) -> dict[str, float]:
    """Place the choices of a key on an axis: numbers where they are, words side by side."""
    choices = _choices(some, key)
    try:
        return {choice: float(choice) for choice in choices}
    except ValueError:
        return {choice: index for index, choice in enumerate(choices)}


def _numeric(places: dict[str, float]) -> bool:
    return all(isinstance(place, float) for place in places.values())


def _choices(some: Sequence[Setting], key: str) -> list[str]:
    """List what a key was set to: numbers by size, words in the order of the jobs."""
    ordered = sorted(some, key=lambda setting: setting.jobs[0].number)
    choices = list(dict.fromkeys(setting.values[key] for setting in ordered))
    try:
        return sorted(choices, key=float)
    except ValueError:
        return choices
