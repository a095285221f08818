"""Results of runs from anywhere, grouped over seeds: trainings, and evaluations over several target sets."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

from hrda_lit.methods.supervised import KINDS, SOURCE_ONLY
from hrda_lit.system.table import Table
from hrda_lit.tables.groups import (
    RunGroup,
    gain,
    group_by_seed,
    override,
    percent,
    several_kinds,
    signed,
    unique,
)
from hrda_lit.tables.records import (
    SEED,
    Results,
    RunRecord,
    add_result,
    kind_in,
    mapping_in,
    rate,
    read_curve,
    read_overrides,
)

Curve = dict[int, list[float]]  # the value of every run, by training step
# Keys that say where files lie, who loads them or what is written, not what is computed.
WORKERS = {"loading.num_workers", "loading.val_workers", "loading.cache"}
ELSEWHERE = {"experiment", "name", "data_root", "cache_dir", "run_dir", "resume", "prepare_data"} | WORKERS
REPORTING = ("logger", "callbacks", "data_check", "trainer.val_check_interval", "trainer.log_every_n_steps")
SETS = {"dataset@source", "dataset@target", "dataset@val"}
NAME, DATA = "experiment", "data"
CHECKPOINT, MODEL = "checkpoint", "model"
# Keys of an evaluation that do not bear on the score of a checkpoint.
UNSCORED = {CHECKPOINT, MODEL, SEED, "device", "workers", "views", "weights"} | SETS


def trainings(results: Results) -> dict[str, RunGroup]:
    """Group scored trainings over their seeds, by a unique heading: by kind, then from worst to best.

    Runs of one name and the same data belong together, unless something other than their seed was
    set differently on the command line. Of runs with the same seed, the newest counts. Damaged
    records are noted in `results`.
    """
    groups = group_by_seed(_newest(results, _read_training))
    kinds = several_kinds(groups)
    groups.sort(key=lambda group: (_rank(group) if kinds else 0, group.miou))
    return _with_headings(groups)


def evaluations(results: Results) -> dict[str, RunGroup]:
    """Group the scores of `hrda_lit.evaluate` as `trainings` does.

    The runs of a group are scores of its checkpoints on any dataset. Of what was scored twice, the
    newest counts. Damaged records are noted in `results`.
    """
    groups = group_by_seed(_newest(results, _read_evaluation))
    groups.sort(key=lambda group: (_rank(group), mean(map(mean, scores_by_set(group).values()))))
    return _with_headings(groups)


def scores_by_set(group: RunGroup) -> dict[str, list[float]]:
    """Return the mIoU of the runs of a group, by the dataset that they were scored on."""
    scores: dict[str, list[float]] = {}
    for run in group.done:
        scores.setdefault(run.scored_on or "", []).append(run.miou)
    return scores


def _newest(results: Results, read: Callable[[Path, Any], Iterable[RunRecord]]) -> list[RunRecord]:
    """Read runs, the oldest first, and keep the newest of equal ones."""
    runs: dict[Any, RunRecord] = {}
    for run in results.each(read):
        # Without a seed it is unknown whether two runs are the same.
        where = None if SEED in run.overrides else run.folder
        runs[run.scored_on, where, *sorted(run.overrides.items())] = run
    return list(runs.values())


def _rank(group: RunGroup) -> int:
    return KINDS.index(group.kind) if group.kind else -1


def _with_headings(groups: Sequence[RunGroup]) -> dict[str, RunGroup]:
    return dict(zip(unique([_heading(group, groups) for group in groups]), groups, strict=True))


def _heading(group: RunGroup, groups: Sequence[RunGroup]) -> str:
    """Name a group by its experiment and what distinguishes it from others of that name."""
    parts = [_asked(group, NAME)]
    same_name = [other.values for other in groups if _asked(other, NAME) == parts[0]]
    for key, value in group.values.items():
        if value and any(other[key] != value for other in same_name):
            parts.append(override(key, value))
    return ", ".join(parts)


def _asked(group: RunGroup, key: str) -> str:
    return group.runs[0].overrides.get(key, "")


def computed_by(overrides: Mapping[str, str] | None) -> dict[str, str]:
    """Return the overrides that bear on the result; a default seed is the empty one."""
    asked = {} if overrides is None else {SEED: "", **overrides}
    skipped = {key for key in asked if key in ELSEWHERE or key.startswith(REPORTING)}
    return {key: value for key, value in asked.items() if key not in skipped}


def _read_training(path: Path, metrics: Mapping[str, Any]) -> Iterator[RunRecord]:
    """Yield the run of a metrics.json, unless it is of an evaluation or was scored on nothing."""
    if "datasets" in metrics or not {"name", "val/miou", "val/iou"} <= set(metrics):
        return
    asked, data = {NAME: str(metrics["name"])}, _data(mapping_in(metrics, "data"))
    if data:
        asked[DATA] = data
    overrides = computed_by(read_overrides(path.parent))
    asked |= {key: value for key, value in overrides.items() if not (data and key in SETS)}
    if "seed" in metrics:
        asked[SEED] = str(metrics["seed"])
    run = add_result(RunRecord(0, asked, folder=path.parent), metrics)
    if run.state == "done":
        yield run


def _data(sets: Mapping[str, Any]) -> str:
    """Write datasets as e.g. "gta5 → cityscapes", with another one for validation in brackets."""
    if not sets.get("source"):
        return ""
    target, val = sets.get("target") or sets.get("val"), sets.get("val")
    return f"{sets['source']} → {target}" + (f" ({val})" if val not in (None, target) else "")


def _read_evaluation(path: Path, metrics: Mapping[str, Any]) -> Iterator[RunRecord]:
    """Yield a run for each dataset that a network was scored on."""
    if "datasets" not in metrics:
        return
    checkpoint = Path(str(metrics.get(CHECKPOINT, path)))
    asked = {NAME: str(metrics.get("experiment"))} | computed_by(read_overrides(checkpoint.parent.parent))
    scored = computed_by(read_overrides(path.parent))
    asked |= {key: value for key, value in scored.items() if key not in UNSCORED}
    asked |= {CHECKPOINT: checkpoint.name, MODEL: str(metrics.get(MODEL, ""))}
    names, sets = mapping_in(metrics, "sets"), mapping_in(metrics, "datasets")
    for key in sets:
        fused = mapping_in(mapping_in(sets, key), "fused")
        for name, miou in list(mapping_in(fused, "miou").items())[:1]:
            if miou is not None:
                run = RunRecord(0, asked, rate(miou, name), kind=kind_in(metrics), folder=checkpoint)
                yield replace(run, scored_on=str(names.get(key, key)))


def gather_curves(trainings: Mapping[str, RunGroup], number: str, results: Results) -> dict[str, Curve]:
    """Read a logged number of every run, at the steps that all runs of a training share.

    Runs that did not log the number are skipped; a curve is empty if none did. Files that cannot
    be read are noted in `results`.
    """
    curves: dict[str, Curve] = {}
    for heading, group in trainings.items():
        runs = []
        for run in group.runs:
            try:
                runs.append(read_curve(run.folder / "metrics.csv", number))
            except ValueError as error:
                results.damaged.append(str(error))
        runs = [curve for curve in runs if curve]
        steps = sorted(set.intersection(*map(set, runs))) if runs else []
        curves[heading] = {step: [run[step] for run in runs] for step in steps}
    return curves


def training_table(groups: Sequence[RunGroup]) -> Table:
    """Lay trainings out: name, data, keys in which they differ; by kind with the gain, if several."""
    kinds = several_kinds(groups)
    table = Table(
        ["experiment", "data", "set differently", "mIoU", *(["gain"] if kinds else []), "seeds"],
        title="Trainings: mIoU in percent, mean ± spread over seeds",
        caption="gain: over the best source-only one scored on the same data" if kinds else "",
        narrow=True,
    )
    kind = None
    for group, text in zip(groups, _differences(groups), strict=True):
        if kinds and group.kind != kind:
            kind = group.kind
            table.end_section()
            table.add(f"{kind or 'unknown kind'}:", style="bold")
        scores = [group.score, signed(gain(group, groups))] if kinds else [group.score]
        table.add(_asked(group, NAME), _asked(group, DATA) or "-", text, *scores, len(group.done))
    return table


def _differences(groups: Sequence[RunGroup]) -> list[str]:
    """Write the overrides of each: the last two parts of keys and the names of files, where unique."""
    keys = [key for key in groups[0].values if key not in (NAME, DATA)]
    names = _shorten(keys, ".", 2)
    texts: list[list[str]] = [[] for _ in groups]
    for key in keys:
        values = _shorten([group.values[key] for group in groups], "/", 1)
        for group, text in zip(groups, texts, strict=True):
            if group.values[key]:
                text.append(override(names[key], values[group.values[key]]))
    return [" ".join(text) for text in texts]


def _shorten(names: Sequence[str], mark: str, parts: int) -> dict[str, str]:
    """Return the last parts of each name, or all of it if another one ends the same."""
    ends = {name: mark.join(name.split(mark)[-parts:]) for name in names}
    found = list(ends.values())
    return {name: end if found.count(end) == 1 else name for name, end in ends.items()}


def evaluation_table(rows: Mapping[str, RunGroup]) -> Table:
    """Lay evaluations out in percent: every dataset, their mean, and its gain over source-only."""
    scores = {heading: scores_by_set(group) for heading, group in rows.items()}
    sets = list(dict.fromkeys(chain.from_iterable(scores.values())))
    # Of those that were scored on every dataset.
    complete = {heading: row for heading, row in scores.items() if len(row) == len(sets)}
    means = {heading: mean(map(mean, row.values())) for heading, row in complete.items()}
    starts = [value for heading, value in means.items() if rows[heading].kind == SOURCE_ONLY]
    start = max(starts, default=math.nan)
    headings = ["", "experiment", *sets, "mean", "gain over source-only"]
    table = Table(headings, title="Evaluations: mIoU in percent by target set", narrow=True)
    for heading, row in scores.items():
        cells = [percent(row.get(name, [])) for name in sets]
        cells.append(percent([means[heading]] if heading in means else []))
        cells.append(signed(means.get(heading, math.nan) - start))
        table.add(rows[heading].kind or "unknown", heading, *cells)
    return table
