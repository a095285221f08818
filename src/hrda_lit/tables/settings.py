"""Settings: the jobs that differ in nothing but their seed, and what their seeds say together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from hrda_lit.tables.jobs import DELETED, SEED, Job, swept_keys
from hrda_lit.tables.kinds import KINDS

COLLAPSED, ALIVE = 0.05, 0.2  # IoU; in between lie classes that are merely hard


@dataclass(frozen=True)
class Setting:
    """One choice of the swept keys, with a job for each seed.

    Attributes:
        values: of the swept keys other than the seed; empty where a job was not asked for one.
        jobs: one or more.
    """

    values: dict[str, str]
    jobs: list[Job]

    @property
    def label(self) -> str:
        """Name the setting by what was asked for; an experiment needs no key in front."""
        return ", ".join(written(key, value) for key, value in self.values.items() if value) or "all seeds"

    @property
    def done(self) -> list[Job]:
        """Return the finished jobs."""
        return [job for job in self.jobs if job.state == "done"]

    @property
    def mious(self) -> list[float]:
        """Return the mIoU of each finished job, a fraction."""
        return [job.miou for job in self.done]

    @property
    def miou(self) -> float:
        """Return the mean over finished jobs; NaN without one."""
        return mean(self.mious) if self.mious else math.nan

    @property
    def spread(self) -> float:
        """Return the sample standard deviation over finished jobs; NaN for fewer than two."""
        return stdev(self.mious) if len(self.mious) > 1 else math.nan

    @property
    def kind(self) -> str | None:
        """Return what the finished jobs learned from, if they tell and agree."""
        return _agreed([job.kind for job in self.done])

    @property
    def scored_on(self) -> str | None:
        """Return the data set that the finished jobs were scored on, if they tell and agree."""
        return _agreed([job.scored_on for job in self.done])

    def class_values(self, name: str) -> list[float]:
        """Return a class's IoU in every finished job in which it occurs."""
        values = (job.iou.get(name) for job in self.done)
        return [value for value in values if value is not None]


def _agreed(values: Sequence[str | None]) -> str | None:
    return values[0] if len(set(values)) == 1 else None


def several_kinds(some: Sequence[Setting]) -> bool:
    """Return whether settings learned from different things."""
    return len({setting.kind for setting in some} - {None}) > 1


def gain(setting: Setting, some: Sequence[Setting]) -> float:
    """Return by how much a setting exceeds source-only.

    Args:
        setting: one of them.
        some: all of them.

    Returns:
        The difference of mean mIoU, a fraction, to the best source-only one scored on the same data; NaN without one.
    """
    alike = [one for one in some if one.kind == KINDS[0] and one.scored_on == setting.scored_on and one.mious]
    return setting.miou - max(one.miou for one in alike) if alike else math.nan


def signed(difference: float) -> str:
    """Write a difference of fractions in percent, with its sign; "-" for none."""
    return "-" if math.isnan(difference) else f"{round(100 * difference, 1) + 0.0:+.1f}"  # of -0.0, 0.0


def settings(jobs: Sequence[Job]) -> list[Setting]:
    """Gather jobs over seeds, the best setting first and those without a finished job last."""
    keys = [key for key in swept_keys(jobs) if key != SEED]
    found: dict[tuple[str, ...], Setting] = {}
    for job in jobs:
        values = {key: job.overrides.get(key, "") for key in keys}
        found.setdefault(tuple(values.values()), Setting(values, [])).jobs.append(job)
    return sorted(found.values(), key=lambda setting: -setting.miou if setting.mious else 1)


def best(some: Sequence[Setting]) -> Setting | None:
    """Return the first setting if seeds support that it is the best: it and its rivals have several finished jobs.

    Args:
        some: from best to worst, see `settings`.
    """
    done = [setting for setting in some if setting.mious]
    return done[0] if done and all(len(setting.mious) > 1 for setting in done) else None


def classes(some: Sequence[Setting]) -> list[str]:
    """Return the names of the classes that occur in any finished job."""
    names = dict.fromkeys(name for setting in some for job in setting.done for name in job.iou)
    return [name for name in names if any(setting.class_values(name) for setting in some)]


def summary(values: Sequence[float]) -> str:
    """Write mean and sample standard deviation of fractions in percent; "-" without values."""
    if not values:
        return "-"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def written(key: str, value: str) -> str:
    """Write a setting of a key as on the command line, shortened; an experiment needs no key in front."""
    if value == DELETED:
        return f"~{key}"
    return short(value) if key == "experiment" else f"{key}={short(value)}"


def short(value: str) -> str:
    """Round the many digits that a search draws to four; everything else stays as it was written."""
    try:
        return f"{float(value):.4g}" if len(value) > 8 else value
    except ValueError:
        return value


def collapses(setting: Setting) -> list[str]:
    """Name the classes that were learned with one seed and lost with another.

    Args:
        setting: with several seeds; one alone cannot be compared.

    Returns:
        One sentence per class whose IoU is below 5 % in some job and above 20 % in another.
    """
    found = []
    for name in classes([setting]):
        scores = {_seed(job): value for job in setting.done if (value := job.iou.get(name)) is not None}
        lost = {seed: value for seed, value in scores.items() if value < COLLAPSED}
        if lost and (best := max(scores.values())) > ALIVE:
            which = ", ".join(f"{seed} ({100 * value:.1f} %)" for seed, value in lost.items())
            found.append(
                f"{name} collapsed in seed {which} of {setting.label} and reached {100 * best:.1f} % in another; "
                "read its mean with care, or add seeds."
            )
    return found


def _seed(job: Job) -> str:
    return job.overrides.get(SEED) or f"of job {job.number}"
