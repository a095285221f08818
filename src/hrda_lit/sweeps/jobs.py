"""The jobs of a sweep as they lie on disk, whichever process or machine ran them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hrda_lit.guards.files import read_record, write_json

SEED = "seed"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        number: counted from 0, in the order of the sweep.
        overrides: what it was asked for, by key.
        miou: a fraction; NaN until the job has finished.
        iou: fractions by class; None where a class does not occur.
        reason: why it failed, or None.
    """

    number: int
    overrides: dict[str, str]
    miou: float = math.nan
    iou: dict[str, float | None] = field(default_factory=dict)
    reason: str | None = None

    @property
    def state(self) -> str:
        """Return "done", "failed" or "unfinished"."""
        if not math.isnan(self.miou):
            return "done"
        return "unfinished" if self.reason is None else "failed"


def begin(folder: Path, number: int, overrides: Sequence[str]) -> bool:
    """Note what a job is asked for, and clear what does not belong to it.

    Args:
        folder: of the job.
        number: of the job.
        overrides: as on a command line, e.g. "lambda_d=0.1".

    Returns:
        Whether an earlier start of the sweep began this same job in this folder.
    """
    asked = parse(overrides)
    again = (folder / "job.json").is_file() and read(folder).overrides == asked
    (folder / "failure.json").unlink(missing_ok=True)
    if not again:
        (folder / "metrics.json").unlink(missing_ok=True)
        write_json(folder / "job.json", {"number": number, "overrides": asked})
    return again


def fail(folder: Path, reason: str) -> None:
    """Note why the job in a folder failed."""
    write_json(folder / "failure.json", {"reason": reason})


def parse(overrides: Sequence[str]) -> dict[str, str]:
    """Split overrides at their first "="; the marks that add or delete a key are left out."""
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~"): value for key, _, value in pairs}


def read(folder: Path) -> Job:
    """Read one job from its folder.

    Args:
        folder: holds job.json and, once the job has ended, metrics.json or failure.json.

    Returns:
        The job.

    Raises:
        FileNotFoundError: if there is no job.json.
    """
    asked = read_record(folder / "job.json")
    job = Job(asked["number"], asked["overrides"])
    if (path := folder / "metrics.json").is_file():
        return with_result(job, read_record(path))
    if (path := folder / "failure.json").is_file():
        return replace(job, reason=read_record(path)["reason"])
    return job


def with_result(job: Job, metrics: Mapping[str, Any]) -> Job:
    """Add what a metrics.json says; a mIoU of null, of a run that scored nothing, counts as unfinished."""
    miou = metrics.get("val/miou")
    return replace(job, miou=math.nan if miou is None else miou, iou=metrics.get("val/iou") or {})


def read_all(sweep: Path) -> list[Job]:
    """Read every job below a folder, in the order of their numbers."""
    return sorted((read(path.parent) for path in sweep.rglob("job.json")), key=lambda job: job.number)


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the keys in which the jobs differ, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]
