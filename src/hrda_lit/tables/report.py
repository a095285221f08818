"""What a sweep ends with: sweep.csv, sweep.txt and sweep.png, made from the files of its jobs."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hrda_lit.system.files import write_atomically
from hrda_lit.tables.jobs import Job, read_all, swept_keys
from hrda_lit.tables.plots import draw
from hrda_lit.tables.settings import (
    Setting,
    best,
    classes,
    collapses,
    gain,
    settings,
    several_kinds,
    short,
    signed,
    summary,
)

WIDEST = 6  # settings whose classes fit side by side on a screen


def write(sweep: Path) -> list[Job]:
    """Read all jobs anew and rewrite the table and the picture.

    Args:
        sweep: folder of the sweep.

    Returns:
        The jobs; without any, nothing is written.
    """
    jobs = read_all(sweep)
    if jobs:
        write_atomically(sweep / "sweep.csv", _csv(jobs))
        page = io.StringIO()
        show(jobs, Console(file=page, width=160))
        write_atomically(sweep / "sweep.txt", page.getvalue().encode())
        write_atomically(sweep / "sweep.png", draw(settings(jobs)))
    return jobs


def show(jobs: Sequence[Job], console: Console, stopped: int | None = None) -> None:
    """Print the settings from best to worst, classes over seeds, and what went wrong.

    Args:
        jobs: of one sweep.
        console: where.
        stopped: of a sweep that was stopped, how many jobs it was to have; None for one that was not.
    """
    some = settings(jobs)
    several = any(len(setting.jobs) > 1 for setting in some)
    done, asked = sum(job.state == "done" for job in jobs), max(len(jobs), stopped or 0)
    state = "" if stopped is None else ", then stopped"
    # Not the table's title, which would be broken at its width.
    console.print(f"{done} of {asked} jobs done{state}; mIoU in percent, best first", highlight=False)
    console.print(_table(some))
    if several and any(setting.mious for setting in some):
        console.print(class_table({setting.label: setting for setting in some[:WIDEST] if setting.mious}))
    # As plain text: a reason may hold [brackets], which rich would take for markup.
    for line in (*_complaints(jobs), *(f"warning: {line}" for setting in some for line in collapses(setting))):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def class_table(columns: dict[str, Setting]) -> Table:
    """Lay out mean and spread of IoU in percent, one row per class and one column per setting.

    Args:
        columns: settings by heading.

    Returns:
        What `rich` prints.
    """
    table = Table(title="IoU in percent, mean ± spread")
    table.add_column("class")
    for heading, setting in columns.items():
        table.add_column(f"{heading} ({len(setting.done)})", justify="right")
    for name in classes(list(columns.values())):
        table.add_row(name, *(summary(setting.class_values(name)) for setting in columns.values()))
    table.add_section()
    table.add_row("mIoU", *(summary(setting.mious) for setting in columns.values()))
    return table


def _table(some: Sequence[Setting]) -> Table:
    table = Table()
    table.add_column("")
    kinds = several_kinds(some)
    for key in some[0].values:
        table.add_column(key, justify="right", overflow="fold")
    if kinds:
        table.add_column("kind")
    table.add_column("mIoU", justify="right")
    if kinds:
        table.add_column("gain over source-only", justify="right")
    table.add_column("runs", justify="right")
    table.add_column("jobs")
    winner = best(some)
    for setting in some:
        is_best = setting is winner
        numbers = ", ".join(str(job.number) for job in setting.jobs)
        score = summary(setting.mious) if setting.mious else setting.jobs[0].state
        runs = f"{len(setting.done)} of {len(setting.jobs)}"
        scores = (setting.kind or "-", score, signed(gain(setting, some))) if kinds else (score,)
        cells = (*map(short, setting.values.values()), *scores, runs, numbers)
        table.add_row("best" if is_best else "", *cells, style="bold" if is_best else None)
    return table


def _complaints(jobs: Sequence[Job]) -> Iterator[str]:
    keys = swept_keys(jobs)
    for job in jobs:
        if job.state != "done":
            asked = " ".join(f"{key}={job.overrides[key]}" for key in keys if key in job.overrides)
            yield f"job {job.number} ({asked}) {job.state}{': ' if job.reason else ''}{job.reason or ''}"


def _csv(jobs: Sequence[Job]) -> bytes:
    """Write one line per job, settings and their seeds from best to worst; rates are fractions."""
    some = settings(jobs)
    keys, names = swept_keys(jobs), classes(some)
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    head = ["job", "state", *keys, "val/miou", "mean", "spread", "kind", "gain"]
    writer.writerow([*head, *(f"val/iou/{name}" for name in names), "reason"])
    for setting in some:
        for job in setting.jobs:
            asked = [job.overrides.get(key, "") for key in keys]
            means = _filled([job.miou, setting.miou, setting.spread])
            kind = [job.kind or "", *_filled([gain(setting, some)])]
            rates = _filled([job.iou.get(name) for name in names])
            writer.writerow([job.number, job.state, *asked, *means, *kind, *rates, job.reason or ""])
    return page.getvalue().encode()


def _filled(scores: Sequence[float | None]) -> list[float | str]:
    return ["" if score is None or math.isnan(score) else score for score in scores]
