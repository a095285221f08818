"""Runs that differ in nothing but their seed, and their mean and spread."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import mean, stdev

from hrda_lit.methods.supervised import SOURCE_ONLY
from hrda_lit.system.table import Table
from hrda_lit.tables.records import DELETED, SEED, RunRecord, swept_keys

COLLAPSED, ALIVE = 0.05, 0.2  # IoU; in between lie classes that are merely hard


@dataclass(frozen=True)
class RunGroup:
    """The runs of one choice of the swept keys, one for each seed."""

    values: dict[str, str]  # of each swept key but the seed; empty where the command line had none
    runs: list[RunRecord]  # one or more

    @property
    def label(self) -> str:
        """Return the choices as on the command line."""
        chosen = [override(key, value) for key, value in self.values.items() if value]
        return ", ".join(chosen) or "all seeds"

    @property
    def done(self) -> list[RunRecord]:
        """Return the finished runs."""
        return [run for run in self.runs if run.state == "done"]

    @property
    def mious(self) -> list[float]:
        """Return the mIoU of each finished run, a fraction."""
        return [run.miou for run in self.done]

    @property
    def miou(self) -> float:
        """Return the mean over finished runs; NaN without one."""
        return mean(self.mious) if self.mious else math.nan

    @property
    def spread(self) -> float:
        """Return the sample standard deviation over finished runs; NaN for fewer than two."""
        return stdev(self.mious) if len(self.mious) > 1 else math.nan

    @property
    def kind(self) -> str | None:
        """Return the kind of the finished runs; None if it is unknown or they differ."""
        kinds = {run.kind for run in self.done}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def scored_on(self) -> str | None:
        """Return the dataset that the finished runs were scored on; None if it is unknown or they differ."""
        names = {run.scored_on for run in self.done}
        return names.pop() if len(names) == 1 else None

    @property
    def score(self) -> str:
        """Write mean and spread of the mIoU in percent, with a star if a run ended early."""
        return f"{percent(self.mious)}{'*' if any(run.ended for run in self.done) else ''}"

    def class_values(self, name: str) -> list[float]:
        """Return the IoU of a class in every finished run in which it occurs."""
        values = [run.iou.get(name, math.nan) for run in self.done]
        return [value for value in values if not math.isnan(value)]


def several_kinds(groups: Sequence[RunGroup]) -> bool:
    """Return whether groups learned from different things, so that their gain says something."""
    return len({group.kind for group in groups if group.kind}) > 1


def gain(group: RunGroup, groups: Sequence[RunGroup]) -> float:
    """Subtract the mIoU of the best source-only group scored on the same data; NaN without one."""
    starts = [one for one in groups if one.kind == SOURCE_ONLY and one.scored_on == group.scored_on]
    return group.miou - max((one.miou for one in starts), default=math.nan)


def group_by_seed(runs: Sequence[RunRecord]) -> list[RunGroup]:
    """Group runs over seeds, the best group first and those without a finished run last."""
    keys = [key for key in swept_keys(runs) if key != SEED]
    found: dict[tuple[str, ...], RunGroup] = {}
    for run in runs:
        values = {key: run.overrides.get(key, "") for key in keys}
        found.setdefault(tuple(values.values()), RunGroup(values, [])).runs.append(run)
    return sorted(found.values(), key=lambda group: -group.miou if group.mious else 1)


def best(groups: Sequence[RunGroup]) -> RunGroup | None:
    """Return the first group if seeds support it: all finished groups have several finished runs."""
    done = [group for group in groups if group.mious]
    return done[0] if done and all(len(group.mious) > 1 for group in done) else None


def classes(groups: Sequence[RunGroup]) -> list[str]:
    """Return the names of the classes that occur in any finished run."""
    names = dict.fromkeys(chain.from_iterable(run.iou for group in groups for run in group.done))
    return [name for name in names if any(group.class_values(name) for group in groups)]


def class_table(columns: Mapping[str, RunGroup], names: Sequence[str]) -> Table:
    """Lay out mean and spread of IoU in percent, one row per class and one column per group."""
    headings = [f"{heading} ({len(group.done)})" for heading, group in columns.items()]
    table = Table(["class", *headings], title="IoU in percent, mean ± spread")
    for name in names:
        table.add(name, *(percent(group.class_values(name)) for group in columns.values()))
    table.end_section()
    table.add("mIoU", *(group.score for group in columns.values()))
    return table


def percent(values: Sequence[float]) -> str:
    """Write mean and sample standard deviation of fractions in percent; "-" without values."""
    if not values:
        return "-"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def signed(difference: float) -> str:
    """Write a difference of fractions in percent, with its sign; "-" for NaN."""
    return "-" if math.isnan(difference) else f"{round(100 * difference, 1) + 0.0:+.1f}"  # of -0.0, 0.0


def override(key: str, value: str) -> str:
    """Write a key as on the command line, shortened; of an experiment only its name."""
    if value == DELETED:
        return f"~{key}"
    return short(value) if key == "experiment" else f"{key}={short(value)}"


def short(value: str) -> str:
    """Round the many digits that a search draws to four; everything else stays as it is."""
    try:
        return f"{float(value):.4g}" if len(value) > 8 else value
    except ValueError:
        return value


def unique(names: Sequence[str]) -> list[str]:
    """Number names that occur before, as rounded values may: a, a (2), b."""
    found: list[str] = []
    for index, name in enumerate(names):
        earlier = names[:index].count(name)
        found.append(f"{name} ({earlier + 1})" if earlier else name)
    return found


def endings(groups: Sequence[RunGroup]) -> Iterator[str]:
    """Yield a sentence for each run that ended early, which a star marks in tables."""
    for group in groups:
        for run in group.done:
            if run.ended:
                yield f"* {group.label}, seed {run.overrides.get(SEED) or '-'}: {run.ended}"


def collapses(group: RunGroup) -> Iterator[str]:
    """Yield a sentence for each class that one seed learned (IoU > 20 %) and another lost (< 5 %)."""
    for name in classes([group]):
        lost = [run for run in group.done if run.iou.get(name, math.nan) < COLLAPSED]
        reached = max(group.class_values(name))
        if lost and reached > ALIVE:
            seeds = ", ".join(f"{_seed(run)} ({100 * run.iou[name]:.1f} %)" for run in lost)
            yield (
                f"{name} collapsed in seed {seeds} of {group.label} and reached "
                f"{100 * reached:.1f} % in another; read its mean with care, or add seeds."
            )


def _seed(run: RunRecord) -> str:
    return run.overrides.get(SEED) or f"of job {run.number}"
