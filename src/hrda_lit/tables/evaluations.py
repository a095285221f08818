"""Evaluations over several target sets: source-only, generalised, adapted and oracle networks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from hrda_lit.methods.supervised import KINDS, SOURCE_ONLY
from hrda_lit.system.table import Table
from hrda_lit.tables.groups import override, percent, signed
from hrda_lit.tables.records import SEED, Results, RunRecord, mapping_in, rate, read_overrides, swept_keys
from hrda_lit.tables.trainings import SETS, computed_by

CHECKPOINT, MODEL = "checkpoint", "model"
# Keys that say where files lie and what is written, not how a checkpoint is scored.
ELSEWHERE = {CHECKPOINT, MODEL, SEED, "device", "workers", "views", "weights"} | SETS


class Row(NamedTuple):
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


def rows(results: Results) -> list[Row]:
    """Group the scores of `hrda_lit.evaluate`; of what was scored twice, the newest counts.

    Args:
        results: of runs; records with entries of a wrong type are noted there.

    Returns:
        One row per experiment, by kind and then from worst to best.
    """
    newest = {(one.kind, one.experiment, one.network, one.dataset): one for one in results.each(_scores)}.values()
    differing = [key for key in swept_keys([RunRecord(0, one.overrides) for one in newest]) if key != SEED]
    found: dict[tuple[str, str], Row] = {}
    for one in newest:
        others = [override(key, one.overrides[key]) for key in differing if one.overrides.get(key)]
        name = ", ".join([one.experiment, *others])
        row = found.setdefault((one.kind, name), Row(one.kind, name, {}))
        row.scores.setdefault(one.dataset, []).append(one.miou)
    order = {kind: index for index, kind in enumerate(KINDS)}
    return sorted(found.values(), key=lambda row: (order.get(row.kind, -1), mean(map(mean, row.scores.values()))))


def as_table(found: Sequence[Row]) -> Table:
    """Lay rows out in percent: every dataset, their mean, and its gain over the best source-only one.

    Args:
        found: from `rows`.
    """
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
    overrides |= {key: value for key, value in scored.items() if key not in ELSEWHERE} | which
    # Without a record of its training, a network is known by its file alone.
    network = (tuple(sorted(overrides.items())), None if trained else str(checkpoint))
    sets = mapping_in(metrics, "sets")
    for key, views in mapping_in(metrics, "datasets").items():
        means = mapping_in(mapping_in({key: views}, key), "fused")
        for name, miou in list(mapping_in(means, "miou").items())[:1]:
            if miou is not None:
                where = str(sets.get(key, key))
                yield _Score(kind, str(metrics.get("experiment")), overrides, network, where, rate(miou, name))
