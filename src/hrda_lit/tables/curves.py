"""Curves over training steps: one panel per logged number, one line per setting, a band for its seeds."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws

from hrda_lit.pictures.figures import DPI, common_legend

RATES = ("val/", "target/", "train/pseudo/")  # what is logged as a fraction
NAMES = {"val/miou": "mIoU on the validation set", "train/pseudo/q": "q, the share of confident pixels"}
Curve = dict[int, list[float]]  # the value of every run, by training step


def read_curve(folders: Sequence[Path], number: str) -> Curve:
    """Read a logged number of several runs.

    Args:
        folders: of runs, each with the metrics.csv of `logger=csv`.
        number: as in the head of metrics.csv, e.g. "val/miou".

    Returns:
        The values at the steps at which all runs logged it; empty if one never did.

    Raises:
        FileNotFoundError: if a run has no metrics.csv.
    """
    runs = [_read(folder / "metrics.csv", number) for folder in folders]
    common = sorted(set.intersection(*(set(run) for run in runs)))
    return {step: [run[step] for run in runs] for step in common}


def draw_curves(curves: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """Draw mean and sample standard deviation over steps.

    Args:
        curves: by number, then by setting, the same ones for every number; empty curves are left out.

    Returns:
        A panel per number; rates are drawn in percent.
    """
    figure = Figure(figsize=(5 * len(curves) + 0.5, 4.4), dpi=DPI, layout="constrained")
    for axes, (number, lines) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for index, (setting, curve) in enumerate(lines.items()):
            if curve:
                _line(axes, curve, setting, f"C{index}", 100 if number.startswith(RATES) else 1)
        axes.set(xlabel="training step", title=NAMES.get(number, number))
        if number.startswith(RATES):
            axes.set_ylabel("percent")
        axes.grid(alpha=0.3)
    if any(len(values) > 1 for lines in curves.values() for curve in lines.values() for values in curve.values()):
        figure.suptitle("mean and standard deviation over seeds", fontsize="medium", color="0.35")
    common_legend(figure)
    return figure


def _line(axes: Axes, curve: Curve, setting: str, colour: str, unit: float) -> None:
    centre = [unit * mean(values) for values in curve.values()]
    spread = [unit * stdev(values) if len(values) > 1 else 0.0 for values in curve.values()]
    axes.plot(list(curve), centre, color=colour, label=setting, marker="." if len(curve) < 20 else None)
    low, high = ([c + sign * s for c, s in zip(centre, spread, strict=True)] for sign in (-1, 1))
    axes.fill_between(list(curve), low, high, color=colour, alpha=0.2, linewidth=0)


def _read(path: Path, number: str) -> dict[int, float]:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; curves are drawn of runs with logger=csv.")
    with path.open(newline="") as file:
        # A row is numbered by its last step, counted from 0; checkpoints and pictures say how many steps were made.
        return {int(row["step"]) + 1: float(row[number]) for row in csv.DictReader(file) if row.get(number)}
