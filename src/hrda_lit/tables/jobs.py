"""The jobs of a sweep as they lie on disk, whichever process or machine ran them."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hrda_lit.system.files import write_json
from hrda_lit.tables.records import RunRecord, add_result, parse, typed, use_record

log = logging.getLogger(__name__)


def begin(folder: Path, number: int, overrides: Sequence[str]) -> bool:
    """Write the record of a job that starts, and remove results of another job.

    Args:
        folder: of the job.
        number: of the job.
        overrides: as on a command line, e.g. "lambda_d=0.1".

    Returns:
        Whether an earlier start of the sweep began this same job in this folder.
    """
    now, there = parse(overrides), (folder / "job.json").exists()
    before = read(folder)
    # A damaged record is written anew: command.json of the sweep says that its jobs are the same.
    again = there and (before is None or before.overrides == now)
    (folder / "failure.json").unlink(missing_ok=True)
    if not again:
        (folder / "metrics.json").unlink(missing_ok=True)
    if before is None or not again:
        write_json(folder / "job.json", {"number": number, "overrides": now})
    return again


def fail(folder: Path, reason: str) -> None:
    """Record why the job in a folder failed."""
    write_json(folder / "failure.json", {"reason": reason})


def count_jobs(command: Any) -> int:
    """Count the jobs of a sweep over all combinations; 0 if its command cannot be parsed.

    Args:
        command: overrides as on a command line, e.g. ["seed=0,1,2"].
    """
    try:
        parsed = OverridesParser.create().parse_overrides(command)
    except (HydraException, TypeError, AttributeError, RecursionError):
        return 0
    return math.prod(len(list(one.sweep_iterator())) for one in parsed if one.is_discrete_sweep())


def read(folder: Path) -> RunRecord | None:
    """Read one job of a sweep; damaged records are named in the log.

    Args:
        folder: holds job.json and, once the job has ended, metrics.json or failure.json.

    Returns:
        The job; None without a valid job.json. A damaged result counts as none.
    """
    damaged: list[str] = []
    job = _read(folder, damaged)
    for sentence in damaged:
        log.warning("passed over: %s", sentence)
    return job


def read_all(sweep: Path) -> tuple[list[RunRecord], list[str]]:
    """Read every job below a folder.

    Returns:
        The jobs by number, and a sentence for each damaged record.
    """
    damaged: list[str] = []
    found = (_read(path.parent, damaged) for path in sorted(sweep.rglob("job.json")))
    return sorted((job for job in found if job is not None), key=lambda job: job.number), damaged


def _job(content: Mapping[str, Any]) -> RunRecord:
    overrides = typed(content, "overrides", dict)
    return RunRecord(typed(content, "number", int), {key: typed(overrides, key, str) for key in overrides})


def _read(folder: Path, damaged: list[str]) -> RunRecord | None:
    job = use_record(folder / "job.json", _job, damaged)
    if job is None:
        return None
    if done := use_record(folder / "metrics.json", partial(add_result, job), damaged):
        return done
    reason = use_record(folder / "failure.json", lambda failure: typed(failure, "reason", str), damaged)
    return replace(job, reason=reason)
