"""Results of runs from anywhere, grouped over seeds: trainings, and evaluations over several target sets."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from hrda_lit.methods.supervised import KINDS, SOURCE_ONLY
from hrda_lit.system.table import Table
from hrda_lit.tables.groups import RunGroup, gain, group_by_seed, override, percent, several_kinds, signed
from hrda_lit.tables.records import (
    SEED,
    Results,
    RunRecord,
    add_result,
    mapping_in,
    rate,
    read_overrides,
    swept_keys,
)

# Keys that say where files lie, who loads them or what is written, not what is computed.
WORKERS = {"loading.num_workers", "loading.val_workers", "loading.cache"}
ELSEWHERE = {"experiment", "name", "data_root", "cache_dir", "run_dir", "resume", "prepare_data"} | WORKERS
REPORTING = ("logger", "callbacks", "data_check")
SETS = {"dataset@source", "dataset@target", "dataset@val"}
NAME, DATA = "experiment", "data"
CHECKPOINT, MODEL = "checkpoint", "model"
# Keys of an evaluation that do not bear on the score of a checkpoint.
UNSCORED = {CHECKPOINT, MODEL, SEED, "device", "workers", "views", "weights"} | SETS


class Training(NamedTuple):
    """The seeds of one training, and where its finished runs lie.

    Attributes:
        group: its values are the keys in which trainings differ, with name (`experiment`) and datasets (`data`).
        folders: folders of its finished runs.
        name: name of its experiment.
        data: e.g. "gta5 → cityscapes"; empty if unknown.
    """

    group: RunGroup
    folders: list[Path]
    name: str
    data: str


def trainings(results: Results) -> dict[str, Training]:
    """Group scored trainings over their seeds, by a heading of their own: by kind, then from worst to best.

    Runs of one name and the same data belong together, unless something other than their seed was set differently on
    the command line. Of runs with the same seed, the newest counts. Damaged records are noted in `results`.
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
    """Return the overrides that bear on the result; a default seed is the empty one."""
    asked = {} if overrides is None else {SEED: "", **overrides}
    return {key: value for key, value in asked.items() if key not in ELSEWHERE and not key.startswith(REPORTING)}


def training_table(trainings: Sequence[Training]) -> Table:
    """Lay trainings out: name, data, keys in which they differ; by kind, with the gain, if there are several kinds."""
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
    """Lay out mean and spread of IoU in percent, one row per class and one column per group."""
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


class Evaluation(NamedTuple):
    """An experiment: its kind, and the mIoU of each evaluated checkpoint by dataset, fractions."""

    kind: str
    experiment: str
    scores: dict[str, list[float]]

    def mean(self, sets: Sequence[str]) -> float | None:
        """Return the mean over all sets; None if one is not scored."""
        return mean(mean(self.scores[name]) for name in sets) if all(name in self.scores for name in sets) else None


class _Score(NamedTuple):
    """A network on a dataset: overrides of its training and evaluation, and what identifies it."""

    kind: str
    experiment: str
    overrides: dict[str, str]
    network: Any
    dataset: str
    miou: float


def evaluations(results: Results) -> list[Evaluation]:
    """Group the scores of `hrda_lit.evaluate`, by kind and then from worst to best.

    Of what was scored twice, the newest counts. Damaged records are noted in `results`.
    """
    newest = {(one.kind, one.experiment, one.network, one.dataset): one for one in results.each(_scores)}.values()
    differing = [key for key in swept_keys([RunRecord(0, one.overrides) for one in newest]) if key != SEED]
    found: dict[tuple[str, str], Evaluation] = {}
    for one in newest:
        others = [override(key, one.overrides[key]) for key in differing if one.overrides.get(key)]
        name = ", ".join([one.experiment, *others])
        row = found.setdefault((one.kind, name), Evaluation(one.kind, name, {}))
        row.scores.setdefault(one.dataset, []).append(one.miou)
    order = {kind: index for index, kind in enumerate(KINDS)}
    return sorted(found.values(), key=lambda row: (order.get(row.kind, -1), mean(map(mean, row.scores.values()))))


def evaluation_table(found: Sequence[Evaluation]) -> Table:
    """Lay rows out in percent: every dataset, their mean, and its gain over the best source-only one."""
    sets = list(dict.fromkeys(name for row in found for name in row.scores))
    starts = [score for row in found if row.kind == SOURCE_ONLY and (score := row.mean(sets)) is not None]
    headings = ["", "experiment", *sets, "mean", "gain over source-only"]
    table = Table(headings, title="Evaluations: mIoU in percent by target set", narrow=True)
    for row in found:
        total = row.mean(sets)
        gain = "-" if total is None or not starts else signed(total - max(starts))
        whole = "-" if total is None else f"{100 * total:.1f}"
        table.add(row.kind, row.experiment, *(percent(row.scores.get(name, [])) for name in sets), whole, gain)
    return table


def _scores(path: Path, metrics: Mapping[str, Any]) -> Iterator[_Score]:
    if "datasets" not in metrics:
        return
    kind = metrics["kind"] if metrics.get("kind") in KINDS else "unknown"
    checkpoint = Path(str(metrics.get(CHECKPOINT, path)))
    trained = read_overrides(checkpoint.parent.parent)
    scored = computed_by(read_overrides(path.parent))
    which = {CHECKPOINT: checkpoint.name, MODEL: str(metrics.get(MODEL, ""))}
    overrides = computed_by(trained)
    overrides |= {key: value for key, value in scored.items() if key not in UNSCORED} | which
    # Without a record of its training, a network is known by its file alone.
    network = (tuple(sorted(overrides.items())), None if trained else str(checkpoint))
    sets = mapping_in(metrics, "sets")
    for key, views in mapping_in(metrics, "datasets").items():
        means = mapping_in(mapping_in({key: views}, key), "fused")
        for name, miou in list(mapping_in(means, "miou").items())[:1]:
            if miou is not None:
                where = str(sets.get(key, key))
                yield _Score(kind, str(metrics.get("experiment")), overrides, network, where, rate(miou, name))
