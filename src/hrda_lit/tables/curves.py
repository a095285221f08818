"""Curves: logged numbers of runs over training steps."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws

from hrda_lit.pictures.figures import DPI, common_legend, plain_text
from hrda_lit.system.text import printable
from hrda_lit.tables.groups import RunGroup
from hrda_lit.tables.records import Results, reason_of

MOST_STEPS = 2**53  # that a float can count
STYLES = ("-", "--", ":", "-.")  # one for each ten colours
RATES = ("val/", "target/", "train/pseudo/")  # what is logged as a fraction
NAMES = {"val/miou": "mIoU on the validation set", "train/pseudo/q": "q, the share of confident pixels"}
Curve = dict[int, list[float]]  # the value of every run, by training step


def gather_curves(trainings: Mapping[str, RunGroup], number: str, results: Results) -> dict[str, Curve]:
    """Read a logged number of every run, at the steps that all runs of a training share.

    Runs that did not log the number are skipped; a curve is empty if none did. Files that cannot
    be read are noted in `results`.
    """
    curves: dict[str, Curve] = {}
    for heading, group in trainings.items():
        runs = []
        for run in group.runs:
            try:
                runs.append(_read_curve(run.folder / "metrics.csv", number))
            except ValueError as error:
                results.damaged.append(str(error))
        runs = [curve for curve in runs if curve]
        steps = sorted(set.intersection(*map(set, runs))) if runs else []
        curves[heading] = {step: [run[step] for run in runs] for step in steps}
    return curves


def _read_curve(path: Path, number: str) -> dict[int, float]:
    """Read a logged number, e.g. "val/miou", from metrics.csv, by training step from 1; finite values alone.

    Raises:
        ValueError: if there is no such file, or it is damaged.
    """
    if not path.exists():
        raise ValueError(f"{path} is not there; curves are drawn of runs with logger=csv")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row.get(number)]
            curve = {int(row["step"]) + 1: float(row[number]) for row in rows}
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        reason = "it has no column step" if isinstance(error, KeyError) else reason_of(error)
        raise ValueError(f"{path} cannot be read ({reason})") from error
    if not all(0 <= step < MOST_STEPS for step in curve):
        raise ValueError(f"{path} has a step out of range")
    return {step: value for step, value in curve.items() if math.isfinite(value)}


@plain_text()
def draw_curves(curves: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Draw mean and sample standard deviation over steps, a panel per number; rates are drawn in percent.

    Args:
        curves: curves by number, then by training, the same for every number; empty ones are not drawn.
    """
    figure = Figure(figsize=(5 * len(curves) + 0.5, 4.4), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (number, lines) in zip(panels, curves.items(), strict=True):
        rate = number.startswith(RATES)
        for index, (name, curve) in enumerate(lines.items()):
            if curve:
                _draw_curve(axes, curve, printable(name), index, 100 if rate else 1)
        title = NAMES.get(number, printable(number))
        axes.set(xlabel="training step", title=title, ylabel="percent" if rate else "")
        axes.grid(alpha=0.3)
    drawn = [curve for lines in curves.values() for curve in lines.values()]
    if any(len(values) > 1 for curve in drawn for values in curve.values()):
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
