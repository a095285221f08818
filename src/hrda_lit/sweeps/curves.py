"""Curves over training steps: one panel per logged number, one line per setting, a band for its seeds."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws

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


def draw_curves(curves: Mapping[str, Mapping[str, Curve]]) -> bytes:
    """Draw mean and sample standard deviation over steps.

    Args:
        curves: by number, then by setting; empty ones are left out.

    Returns:
        A PNG file.
    """
    figure = Figure(figsize=(5 * len(curves) + 0.5, 3.8), layout="constrained")
    settings = list(dict.fromkeys(setting for lines in curves.values() for setting in lines))
    for axes, (number, lines) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for setting, curve in lines.items():
            if not curve:
                continue
            colour = f"C{settings.index(setting) % 10}"
            centre = [mean(values) for values in curve.values()]
            spread = [stdev(values) if len(values) > 1 else 0.0 for values in curve.values()]
            axes.plot(list(curve), centre, color=colour, label=setting, marker="." if len(curve) < 20 else None)
            low = [c - s for c, s in zip(centre, spread, strict=True)]
            high = [c + s for c, s in zip(centre, spread, strict=True)]
            axes.fill_between(list(curve), low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set(xlabel="training step", title=number)
        axes.grid(alpha=0.3)
        axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _read(path: Path, number: str) -> dict[int, float]:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; curves are drawn of runs with logger=csv.")
    with path.open(newline="") as file:
        # A row is numbered by its last step, counted from 0; checkpoints and pictures say how many steps were made.
        return {int(row["step"]) + 1: float(row[number]) for row in csv.DictReader(file) if row.get(number)}
