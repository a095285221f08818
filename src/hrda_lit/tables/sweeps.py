"""The jobs of a sweep on disk, and its results: sweep.csv, sweep.txt and sweep.png."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hrda_lit.runs.claim import without
from hrda_lit.system.files import write_atomically, write_json
from hrda_lit.system.table import Table, as_csv, as_text
from hrda_lit.tables import groups as by_seed
from hrda_lit.tables.groups import RunGroup, classes, gain, group_by_seed, override, short, unique
from hrda_lit.tables.records import RunRecord, add_result, parse, swept_keys, typed, use_record

WIDEST = 6  # groups whose classes fit side by side on a screen
log = logging.getLogger(__name__)


def begin_job(folder: Path, number: int, overrides: Sequence[str]) -> bool:
    """Write the record of a job that starts, and remove results of another job.

    Returns:
        Whether an earlier start of the sweep began this same job in this folder.
    """
    now, there = parse(without(overrides, "resume")), (folder / "job.json").exists()
    before = read_job(folder)
    # A damaged record is replaced: command.json of the sweep says that its jobs are the same.
    again = there and (before is None or before.overrides == now)
    (folder / "failure.json").unlink(missing_ok=True)
    if not again:
        (folder / "metrics.json").unlink(missing_ok=True)
    if before is None or not again:
        write_json(folder / "job.json", {"number": number, "overrides": now})
    return again


def fail_job(folder: Path, reason: str) -> None:
    """Record why the job in a folder failed."""
    write_json(folder / "failure.json", {"reason": reason})


def count_jobs(command: Any) -> int:
    """Count the jobs of a sweep over all combinations; 0 if its command cannot be parsed."""
    try:
        parsed = OverridesParser.create().parse_overrides(command)
    except (HydraException, TypeError, AttributeError, RecursionError):
        return 0
    return math.prod(len(list(one.sweep_iterator())) for one in parsed if one.is_discrete_sweep())


def read_job(folder: Path) -> RunRecord | None:
    """Read one job of a sweep; None without a valid job.json. Damaged records are logged."""
    damaged: list[str] = []
    job = _read(folder, damaged)
    for sentence in damaged:
        log.warning("passed over: %s", sentence)
    return job


class Sweep(NamedTuple):
    """The jobs of a sweep by number, and a sentence for each damaged record in its folder."""

    jobs: list[RunRecord]
    damaged: list[str]


def read_jobs(folder: Path) -> Sweep:
    """Read every job below a folder."""
    damaged: list[str] = []
    found = [_read(path.parent, damaged) for path in sorted(folder.rglob("job.json"))]
    jobs = [job for job in found if job is not None]
    return Sweep(sorted(jobs, key=lambda job: job.number), damaged)


def _read(folder: Path, damaged: list[str]) -> RunRecord | None:
    job = use_record(folder / "job.json", partial(_job, folder), damaged)
    if job is None:
        return None
    done = use_record(folder / "metrics.json", partial(add_result, job), damaged)
    if done is not None:
        return done
    reason = use_record(folder / "failure.json", lambda failure: typed(failure, "reason", str), damaged)
    return replace(job, reason=reason)


def _job(folder: Path, content: Mapping[str, Any]) -> RunRecord:
    overrides = typed(content, "overrides", dict)
    texts = {key: typed(overrides, key, str) for key in overrides}
    return RunRecord(typed(content, "number", int), texts, folder=folder)


def write(folder: Path) -> Sweep:
    """Read all jobs again and rewrite the table and the picture; without any job, nothing is written."""
    # Here, because matplotlib takes a second that the jobs of a sweep need not wait for.
    from hrda_lit.pictures.figures import encode
    from hrda_lit.tables.plots import draw_sweep

    sweep = read_jobs(folder)
    if sweep.jobs:
        write_atomically(folder / "sweep.csv", _csv(sweep.jobs))
        write_atomically(folder / "sweep.txt", as_text(*report(sweep), width=160).encode())
        write_atomically(folder / "sweep.png", encode(draw_sweep(group_by_seed(sweep.jobs))))
    return sweep


def report(sweep: Sweep, stopped: int | None = None) -> list[Table | str]:
    """Lay out groups from best to worst, classes over seeds, and what went wrong.

    `stopped` is the number of jobs that a stopped sweep should have had; None for one that ended by itself.
    """
    groups = group_by_seed(sweep.jobs)
    done = sum(job.state == "done" for job in sweep.jobs)
    total = max(len(sweep.jobs), stopped or 0)
    state = "" if stopped is None else ", then stopped"
    # Not the table's title, which would be broken at its width.
    parts: list[Table | str] = [f"{done} of {total} jobs done{state}; mIoU in percent, best first"]
    if groups:
        parts.append(_table(groups))
    parts += _class_tables(groups)
    parts += _complaints(sweep.jobs)
    parts += by_seed.endings(groups)
    parts += [f"passed over: {line}" for line in sweep.damaged]
    for group in groups:
        parts += [f"warning: {line}" for line in by_seed.collapses(group)]
    return parts


def _table(groups: Sequence[RunGroup]) -> Table:
    kinds, winner = by_seed.several_kinds(groups), by_seed.best(groups)
    scores = ["kind", "mIoU", "gain over source-only"] if kinds else ["mIoU"]
    table = Table(["", *groups[0].values, *scores, "runs", "jobs"])
    for group in groups:
        cells = list(map(short, group.values.values()))
        score = group.score if group.mious else group.runs[0].state
        cells += [group.kind or "-", score, by_seed.signed(gain(group, groups))] if kinds else [score]
        cells.append(f"{len(group.done)} of {len(group.runs)}")
        cells.append(", ".join(str(job.number) for job in group.runs))
        best = group is winner
        table.add("best" if best else "", *cells, style="bold" if best else "")
    return table


def _class_tables(groups: Sequence[RunGroup]) -> list[Table]:
    scored = [group for group in groups[:WIDEST] if group.mious]
    if not scored or all(len(group.runs) == 1 for group in groups):
        return []
    labels = unique([group.label for group in scored])
    return [by_seed.class_table(dict(zip(labels, scored, strict=True)), classes(scored))]


def _complaints(jobs: Sequence[RunRecord]) -> list[str]:
    keys, complaints = swept_keys(jobs), []
    for job in jobs:
        if job.state != "done":
            asked = " ".join(override(key, job.overrides[key]) for key in keys if key in job.overrides)
            which = f"{job.number} ({asked})" if asked else str(job.number)
            complaints.append(f"job {which} {job.state}{': ' if job.reason else ''}{job.reason or ''}")
    return complaints


def _csv(jobs: Sequence[RunRecord]) -> bytes:
    """Write one line per job, groups and their seeds from best to worst; rates are fractions."""
    groups = group_by_seed(jobs)
    keys, names = swept_keys(jobs), classes(groups)
    head = ["job", "state", *keys, "val/miou", "mean", "spread", "kind", "gain"]
    lines: list[list[object]] = [[*head, *(f"val/iou/{name}" for name in names), "reason"]]
    for group in groups:
        means = [group.miou, group.spread]
        for job in group.runs:
            asked = [job.overrides.get(key) for key in keys]
            rates = [job.iou.get(name) for name in names]
            facts = [job.miou, *means, job.kind, gain(group, groups), *rates, job.reason or job.ended]
            lines.append([job.number, job.state, *asked, *facts])
    return as_csv(lines)
