"""The jobs of a sweep as they lie on disk, whichever process or machine ran them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from hrda_lit.system.files import read_json, write_json
from hrda_lit.tables.kinds import KINDS

SEED = "seed"
DELETED = "~"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        number: counted from 0, in the order of the sweep.
        overrides: what it was asked for, by key.
        miou: a fraction; NaN until the job has finished.
        iou: fractions by class; None where a class does not occur.
        reason: why it failed, or None.
        kind: what it learned from, see `kinds`; None until it has finished.
        scored_on: the data set of its mIoU; None until it has finished.
    """

    number: int
    overrides: dict[str, str]
    miou: float = math.nan
    iou: dict[str, float | None] = field(default_factory=dict)
    reason: str | None = None
    kind: str | None = None
    scored_on: str | None = None

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
    before, there = read(folder), (folder / "job.json").exists()
    # One that was cut is made anew: the sweep's command.json says that these are the same jobs.
    again = there and (before is None or before.overrides == asked)
    (folder / "failure.json").unlink(missing_ok=True)
    if not again:
        (folder / "metrics.json").unlink(missing_ok=True)
    if before is None or not again:
        write_json(folder / "job.json", {"number": number, "overrides": asked})
    return again


def asked(overrides: Sequence[str]) -> int:
    """Return how many jobs a sweep over these overrides has, where it takes all combinations.

    Args:
        overrides: as on a command line, e.g. "seed=0,1,2".
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return math.prod(len(list(one.sweep_iterator())) for one in parsed if one.is_discrete_sweep())


def fail(folder: Path, reason: str) -> None:
    """Note why the job in a folder failed."""
    write_json(folder / "failure.json", {"reason": reason})


def parse(overrides: Sequence[str]) -> dict[str, str]:
    """Split overrides at their first "="; the mark that adds a key is left out, and a deleted key is `DELETED`."""
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~"): DELETED if key.startswith("~") else value for key, _, value in pairs}


def read(folder: Path) -> Job | None:
    """Read one job from its folder.

    Args:
        folder: holds job.json and, once the job has ended, metrics.json or failure.json.

    Returns:
        The job; None if its job.json is not there, or was cut. A result that was cut counts as none.
    """
    asked = read_json(folder / "job.json")
    if not _has(asked, number=int, overrides=dict):
        return None
    job = Job(asked["number"], asked["overrides"])
    if _has(metrics := read_json(folder / "metrics.json"), **{"val/iou": dict}) and "val/miou" in metrics:
        return with_result(job, metrics)
    if _has(failure := read_json(folder / "failure.json"), reason=str):
        return replace(job, reason=failure["reason"])
    return job


def _has(content: Any, **kinds: type) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(key), kind) for key, kind in kinds.items())


def with_result(job: Job, metrics: Mapping[str, Any]) -> Job:
    """Add what a metrics.json says; a mIoU of null, of a run that scored nothing, counts as unfinished."""
    miou = metrics.get("val/miou")
    job = replace(job, miou=math.nan if miou is None else miou, iou=metrics.get("val/iou") or {})
    data = metrics.get("data")
    scored_on = data.get("val") if isinstance(data, Mapping) else None
    return replace(job, kind=metrics["kind"] if metrics.get("kind") in KINDS else None, scored_on=scored_on)


def read_all(sweep: Path) -> list[Job]:
    """Read every job below a folder, in the order of their numbers; damaged ones are named in the log."""
    found = (read(path.parent) for path in sweep.rglob("job.json"))
    return sorted((job for job in found if job is not None), key=lambda job: job.number)


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the keys in which the jobs differ, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]
