"""What was measured: as a table, as JSON, side by side with an earlier one, and as a picture."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from hrda_lit.scripts.benchmarks.measure import GIB, Row, spread
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws

from hrda_lit.pictures.figures import DPI
from hrda_lit.system.files import read_json, write_json
from hrda_lit.system.table import Table

AXES = {"crop": "crop, pixels a side", "batch": "batch", "workers": "loader processes a domain"}


@dataclass
class Report:
    """Rows that were measured together.

    Args:
        what: step, data, infer or memory.
        rows: measurements.
        device: where.
        command: arguments of the command line.
        flops_per_second: rate of large matrices on that device, in the type of the step; None where it says nothing.
        versions: versions of Python and PyTorch.
    """

    what: str
    rows: list[Row]
    device: str
    command: str = ""
    flops_per_second: float | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Read what `write` wrote; raise a ValueError or FileNotFoundError without such a file."""
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}; write one by --json.")
        content: Any = read_json(path)
        try:
            return cls(**{**content, "rows": [Row(**row) for row in content["rows"]]})
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"{path} was not written by --json of this command ({error}); give one that was."
            ) from error


def device_name(device: torch.device) -> str:
    """Say what a device is, e.g. "cpu, x86_64, 2 threads of 16 cores"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Return the versions of what runs."""
    return {"python": platform.python_version(), "torch": torch.__version__}


def table(report: Report) -> Table:
    """Lay rows out with their parts below them; columns without any number are left out."""
    columns: dict[str, Callable[[Row], str]] = {
        "median": lambda row: _seconds(row.median),
        "10 to 90 %": lambda row: _range(row.seconds),
        "images/s": lambda row: "" if row.rate is None else f"{row.rate:.3g}",
        "peak memory": lambda row: _gib(row.memory),
        "operators": lambda row: "" if row.operators is None else f"{row.operators:,}",
        "host waits": lambda row: "" if row.waits is None else f"{row.waits:,}",
        "TFLOP": lambda row: "" if not row.flops else f"{row.flops / 1e12:.3g}",
        "of matrix rate": lambda row: _share(row, report.flops_per_second),
    }
    timed = any(row.seconds or row.parts for row in report.rows)
    used = [name for name, show in columns.items() if any(map(show, report.rows)) or (timed and name == "median")]
    rate = report.flops_per_second
    made = Table(
        [report.what, *used],
        title=f"{report.what} on {report.device}",
        caption=f"large matrices: {rate / 1e12:.3g} TFLOP/s" if rate else "",
    )
    for row in report.rows:
        made.add(row.name, *(columns[name](row) for name in used))
        for name, seconds in row.parts.items():
            part = {"median": _seconds(spread(seconds)[0]), "10 to 90 %": _range(seconds)}
            made.add(f"  {name}", *(part.get(column, "") for column in used), style="dim")
        made.end_section()
    return made


def notes(report: Report) -> list[str]:
    """Say a sentence for each row that has something to say."""
    return [f"{row.name}: {row.note}" for row in report.rows if row.note]


def compared(before: Report, after: Report) -> Table:
    """Put two reports side by side, by the names of their rows and parts; raise a ValueError without a common one."""
    old, new = _medians(before), _medians(after)
    if not (common := [name for name in new if name in old]):
        raise ValueError("the two files have no row of the same name; compare runs of the same settings.")
    device = after.device if before.device == after.device else f"{before.device} / {after.device}"
    made = Table([after.what, "before", "after", "after / before", "memory before", "after"], title=device)
    for name in common:
        (one, size), (other, now) = old[name], new[name]
        ratio = f"{other / one:.2f}" if one and other else ""
        made.add(name, _seconds(one), _seconds(other), ratio, _gib(size), _gib(now))
    return made


def draw(reports: Sequence[Report]) -> Figure:
    """Draw the seconds an image takes, a panel for each of crop, batch and workers that differs between rows.

    Raises:
        ValueError: if none differs.
    """
    panels: list[tuple[str, str, dict[str, list[tuple[float, float, float, float]]]]] = []
    for report in reports:
        rows = [row for row in report.rows if row.seconds]
        for axis, label in AXES.items():
            if len({row.settings[axis] for row in rows if axis in row.settings}) > 1:
                panels.append((label, report.what, _lines(rows, axis)))
    if not panels:
        raise ValueError("all rows have one crop, batch and number of workers; give several, e.g. --crops 128 256.")
    figure = Figure(figsize=(4.5 * len(panels) + 0.5, 4.4), dpi=DPI, layout="constrained")
    for axes, (label, what, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, points in lines.items():
            x, middle, low, high = zip(*sorted(points), strict=True)
            axes.plot(x, middle, marker="o", label=name)
            axes.fill_between(x, low, high, alpha=0.2, linewidth=0)
        ticks = sorted({point[0] for points in lines.values() for point in points})
        axes.set(xlabel=label, ylabel="seconds an image", title=what, ylim=(0, None), xticks=ticks)
        axes.grid(alpha=0.3)
        if any(lines):
            # Below the panel, where it covers no data.
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small", frameon=False)
    return figure


def _lines(rows: Sequence[Row], axis: str) -> dict[str, list[tuple[float, float, float, float]]]:
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in rows:
        others = ", ".join(f"{key} {value}" for key, value in row.settings.items() if key != axis)
        _, low, high = (value / row.samples for value in spread(row.seconds))
        lines.setdefault(others, []).append((row.settings[axis], mean(row.seconds) / row.samples, low, high))
    return lines


def _medians(report: Report) -> dict[str, tuple[float | None, int | None]]:
    found: dict[str, tuple[float | None, int | None]] = {}
    for row in report.rows:
        found[row.name] = (row.median, row.memory)
        found |= {f"  {row.name}, {name}": (spread(seconds)[0], None) for name, seconds in row.parts.items()}
    return found


def _share(row: Row, rate: float | None) -> str:
    if not row.flops or not rate or row.median is None:
        return ""
    return f"{row.flops / row.median / rate:.0%}"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


def _range(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return ""
    _, low, high = spread(seconds)
    return f"{low:.2f} to {high:.2f} s" if high >= 1 else f"{1000 * low:.1f} to {1000 * high:.1f} ms"


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / GIB:.2f} GiB"
