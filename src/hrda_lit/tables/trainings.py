"""Trainings from anywhere, grouped over their seeds, as one table of 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hrda_lit.methods.supervised import KINDS
from hrda_lit.system.table import Table
from hrda_lit.tables.groups import RunGroup, gain, group_by_seed, override, percent, several_kinds, signed
from hrda_lit.tables.records import SEED, Results, RunRecord, add_result, mapping_in, read_overrides

# Keys that say where files lie, who loads them or what is written, not what is computed.
WORKERS = {"loading.num_workers", "loading.val_workers", "loading.cache"}
ELSEWHERE = {"experiment", "name", "data_root", "cache_dir", "run_dir", "resume", "prepare_data"} | WORKERS
REPORTING = ("logger", "callbacks", "data_check")
SETS = {"dataset@source", "dataset@target", "dataset@val"}
NAME, DATA = "experiment", "data"


class Training(NamedTuple):
    """The seeds of one training, and where its finished runs lie.

    Attributes:
        group: its values are the keys in which trainings differ, with name (`experiment`) and datasets (`data`).
        folders: of its runs.
        name: of its experiment.
        data: e.g. "gta5 → cityscapes"; empty if unknown.
    """

    group: RunGroup
    folders: list[Path]
    name: str
    data: str


def collect(results: Results) -> dict[str, Training]:
    """Group all scored trainings over their seeds.

    Runs of one name and the same data belong together, unless something other than their seed was set differently on
    the command line. Of runs with the same seed, the newest counts.

    Args:
        results: of runs; records with entries of a wrong type are noted there.

    Returns:
        Trainings by a heading that distinguishes them, by kind and then from worst to best.
    """
    runs: dict[Any, tuple[RunRecord, Path]] = {}
    for run, path in results.each(_training):
        # Without a seed it is unknown whether two runs are the same.
        runs[tuple(sorted(run.overrides.items())) if SEED in run.overrides else path] = (run, path)
    folders = {id(run): path.parent for run, path in runs.values()}
    groups = group_by_seed([run for run, _ in runs.values()])
    kinds = several_kinds(groups)
    groups.sort(key=lambda group: (KINDS.index(group.kind) if kinds and group.kind else -1, group.miou))
    found = [
        Training(group, [folders[id(run)] for run in group.runs], asked[NAME], asked.get(DATA, ""))
        for group in groups
        for asked in [group.runs[0].overrides]
    ]
    return {_heading(one, found): one for one in found}


def computed_by(overrides: Mapping[str, str] | None) -> dict[str, str]:
    """Return the overrides that bear on the result; a default seed is the empty one.

    Args:
        overrides: from `read_overrides`; None gives none.
    """
    asked = {} if overrides is None else {SEED: "", **overrides}
    return {key: value for key, value in asked.items() if key not in ELSEWHERE and not key.startswith(REPORTING)}


def as_table(trainings: Sequence[Training]) -> Table:
    """Lay trainings out: name, data, keys in which they differ; by kind, with the gain, if there are several kinds.

    Args:
        trainings: from `collect`.
    """
    groups = [one.group for one in trainings]
    kinds, texts = several_kinds(groups), _differences(trainings)
    table = Table(
        ["experiment", "data", "set differently", "mIoU", *(["gain"] if kinds else []), "seeds"],
        title="Trainings: mIoU in percent, mean ± spread over seeds",
        caption="gain: over the best source-only one scored on the same data" if kinds else "",
        narrow=True,
    )
    kind = None
    for one, text in zip(trainings, texts, strict=True):
        if kinds and one.group.kind != kind:
            kind = one.group.kind
            table.end_section()
            table.add(f"{kind or 'unknown kind'}:", style="bold")
        gains = [signed(gain(one.group, groups))] if kinds else []
        table.add(one.name, one.data or "-", text, one.group.score, *gains, len(one.group.done))
    return table


def class_table(columns: Mapping[str, RunGroup], names: Sequence[str]) -> Table:
    """Lay out mean and spread of IoU in percent, one row per class and one column per group.

    Args:
        columns: groups by heading.
        names: of the classes.
    """
    headings = [f"{heading} ({len(group.done)})" for heading, group in columns.items()]
    table = Table(["class", *headings], title="IoU in percent, mean ± spread")
    for name in names:
        table.add(name, *(percent(group.class_values(name)) for group in columns.values()))
    table.end_section()
    table.add("mIoU", *(group.score for group in columns.values()))
    return table


def _training(path: Path, metrics: Mapping[str, Any]) -> Iterator[tuple[RunRecord, Path]]:
    """Yield the run of a metrics.json, unless it is of an evaluation or was scored on nothing."""
    if "datasets" in metrics or not {"name", "val/miou", "val/iou"} <= set(metrics):
        return
    asked = {NAME: str(metrics["name"])}
    if data := _data(mapping_in(metrics, "data")):
        asked[DATA] = data
    overrides = computed_by(read_overrides(path.parent))
    asked |= {key: value for key, value in overrides.items() if not (data and key in SETS)}
    if "seed" in metrics:
        asked[SEED] = str(metrics["seed"])
    run = add_result(RunRecord(0, asked), metrics)
    if run.state == "done":
        yield run, path


def _data(sets: Mapping[str, Any]) -> str:
    """Write datasets as e.g. "gta5 → cityscapes", with the one for validation in brackets if that is another."""
    if not sets.get("source"):
        return ""
    target, val = sets.get("target") or sets.get("val"), sets.get("val")
    return f"{sets['source']} → {target}" + (f" ({val})" if val not in (None, target) else "")


def _heading(one: Training, found: Sequence[Training]) -> str:
    """Name a training by its experiment and what distinguishes it from others of that name."""
    alike = [other.group.values for other in found if other.name == one.name]
    own = {key: value for key, value in one.group.values.items() if len({other[key] for other in alike}) > 1}
    return f"{one.name}, {RunGroup(own, []).label}" if any(own.values()) else one.name


def _differences(trainings: Sequence[Training]) -> list[str]:
    """Write the overrides of each: keys by their last two parts and files by their names, if these are unique."""
    asked = [{k: v for k, v in one.group.values.items() if k not in (NAME, DATA)} for one in trainings]
    keys = list(asked[0])
    names = _ends(keys, ".", 2)
    values = {key: _ends([one[key] for one in asked], "/", 1) for key in keys}
    return [" ".join(override(names[key], values[key][one[key]]) for key in keys if one[key]) for one in asked]


def _ends(names: Sequence[str], mark: str, parts: int) -> dict[str, str]:
    """Return the last parts of each name, or all of it if another one ends alike."""
    ends = {name: mark.join(name.split(mark)[-parts:]) for name in names}
    return {name: end if list(ends.values()).count(end) == 1 else name for name, end in ends.items()}
