"""What a sweep ends with: sweep.csv, sweep.txt and sweep.png, made from the files of its jobs."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hrda_lit.pictures.figures import encode
from hrda_lit.system.files import write_atomically
from hrda_lit.system.table import Table, as_csv, as_text
from hrda_lit.tables.groups import (
    RunGroup,
    best,
    classes,
    collapses,
    endings,
    gain,
    group_by_seed,
    several_kinds,
    short,
    signed,
)
from hrda_lit.tables.jobs import read_all
from hrda_lit.tables.plots import draw_sweep
from hrda_lit.tables.records import RunRecord, swept_keys
from hrda_lit.tables.trainings import class_table

WIDEST = 6  # groups whose classes fit side by side on a screen


class Sweep(NamedTuple):
    """The jobs of a sweep, and a sentence for each damaged record in its folder."""

    jobs: list[RunRecord]
    damaged: list[str]


def write(folder: Path) -> Sweep:
    """Read all jobs anew and rewrite the table and the picture; without any job, nothing is written.

    Args:
        folder: of the sweep.
    """
    sweep = Sweep(*read_all(folder))
    if sweep.jobs:
        write_atomically(folder / "sweep.csv", _csv(sweep.jobs))
        write_atomically(folder / "sweep.txt", as_text(*report(sweep), width=160).encode())
        write_atomically(folder / "sweep.png", encode(draw_sweep(group_by_seed(sweep.jobs))))
    return sweep


def report(sweep: Sweep, stopped: int | None = None) -> list[Table | str]:
    """Lay out groups from best to worst, classes over seeds, and what went wrong.

    Args:
        sweep: from `write`.
        stopped: number of jobs that a sweep that was stopped should have had; None for one that was not.
    """
    jobs, groups = sweep.jobs, group_by_seed(sweep.jobs)
    done, total = sum(job.state == "done" for job in jobs), max(len(jobs), stopped or 0)
    state = "" if stopped is None else ", then stopped"
    # Not the table's title, which would be broken at its width.
    parts: list[Table | str] = [f"{done} of {total} jobs done{state}; mIoU in percent, best first"]
    if groups:
        parts.append(_table(groups))
    scored = {group.label: group for group in groups[:WIDEST] if group.mious}
    if scored and any(len(group.runs) > 1 for group in groups):
        parts.append(class_table(scored, classes(list(scored.values()))))
    warnings = [f"warning: {line}" for group in groups for line in collapses(group)]
    damaged = [f"passed over: {line}" for line in sweep.damaged]
    return [*parts, *_complaints(jobs), *endings(groups), *damaged, *warnings]


def _table(groups: Sequence[RunGroup]) -> Table:
    kinds, winner = several_kinds(groups), best(groups)
    optional = ["kind"], ["gain over source-only"]
    before, after = optional if kinds else ([], [])
    table = Table(["", *groups[0].values, *before, "mIoU", *after, "runs", "jobs"])
    for group in groups:
        score = group.score if group.mious else group.runs[0].state
        scores = [group.kind or "-", score, signed(gain(group, groups))] if kinds else [score]
        runs, jobs = f"{len(group.done)} of {len(group.runs)}", ", ".join(str(job.number) for job in group.runs)
        mark, style = ("best", "bold") if group is winner else ("", "")
        table.add(mark, *map(short, group.values.values()), *scores, runs, jobs, style=style)
    return table


def _complaints(jobs: Sequence[RunRecord]) -> Iterator[str]:
    keys = swept_keys(jobs)
    for job in jobs:
        if job.state != "done":
            asked = " ".join(f"{key}={job.overrides[key]}" for key in keys if key in job.overrides)
            yield f"job {job.number} ({asked}) {job.state}{': ' if job.reason else ''}{job.reason or ''}"


def _csv(jobs: Sequence[RunRecord]) -> bytes:
    """Write one line per job, groups and their seeds from best to worst; rates are fractions."""
    groups = group_by_seed(jobs)
    keys, names = swept_keys(jobs), classes(groups)
    head = ["job", "state", *keys, "val/miou", "mean", "spread", "kind", "gain"]
    lines: list[list[object]] = [[*head, *(f"val/iou/{name}" for name in names), "reason"]]
    for group in groups:
        for job in group.runs:
            asked = [job.overrides.get(key, "") for key in keys]
            means = _filled([job.miou, group.miou, group.spread])
            rates = _filled([job.iou.get(name) for name in names])
            kind = [job.kind or "", *_filled([gain(group, groups)])]
            lines.append([job.number, job.state, *asked, *means, *kind, *rates, job.reason or job.ended or ""])
    return as_csv(lines)


def _filled(scores: Sequence[float | None]) -> list[float | str]:
    return ["" if score is None or math.isnan(score) else score for score in scores]
