"""What adaptation adds: source-only, generalised, adapted and oracle networks over several target sets."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from rich.table import Table

from hrda_lit.guards.files import read_json
from hrda_lit.sweeps.settings import summary

KINDS = ("source-only", "generalisation", "adaptation", "oracle")


class Row(NamedTuple):
    """An experiment: of which kind it is, and its mIoU on each set, fractions, one per evaluated checkpoint."""

    kind: str
    experiment: str
    scores: dict[str, list[float]]

    def mean(self, sets: Sequence[str]) -> float | None:
        """Return the mean over all sets; None where one is not scored."""
        return mean(mean(self.scores[name]) for name in sets) if all(name in self.scores for name in sets) else None


def kind_of(config: Mapping[str, Any]) -> str:
    """Tell what a run learned from.

    Args:
        config: of its checkpoint.

    Returns:
        One of `KINDS`: without a target, the oracle is what was trained on the set that it is scored on.
    """
    method = str(config["method"]["_target_"]).rpartition(".")[2]
    if method not in ("Supervised", "Generalise"):
        return "adaptation"
    val = config.get("val") or {}
    if config["source"].get("name") == val.get("name"):
        return "oracle"
    return "source-only" if method == "Supervised" else "generalisation"


def rows(folders: Sequence[Path]) -> list[Row]:
    """Gather what `hrda_lit.evaluate` scored, at any depth below some folders.

    Args:
        folders: where to look.

    Returns:
        One row per experiment, by kind and then from worst to best.

    Raises:
        FileNotFoundError: if nothing was scored.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted({path for folder in folders for path in folder.rglob("metrics.json")}):
        for where, name, score in _scores(read_json(path)):
            found[where][name].append(score)
    if not found:
        raise FileNotFoundError(
            f"no result of hrda_lit.evaluate below {[str(folder) for folder in folders]}; evaluate checkpoints first."
        )
    made = [Row(kind, experiment, dict(scores)) for (kind, experiment), scores in found.items()]
    return sorted(made, key=lambda row: (KINDS.index(row.kind), mean(map(mean, row.scores.values()))))


def _scores(metrics: Any) -> Iterator[tuple[tuple[str, str], str, float]]:
    if not isinstance(metrics, dict) or metrics.get("kind") not in KINDS:
        return
    for key, views in metrics["datasets"].items():
        score = next(iter(views["fused"]["miou"].values()))
        if score is not None:
            yield (metrics["kind"], metrics["experiment"]), metrics["sets"][key], score


def side_by_side(some: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Lay rows out.

    Args:
        some: from `rows`.

    Returns:
        The headings, and the cells of each row, in percent: every set, their mean, and by how much that exceeds the
        best source-only one.
    """
    sets = list(dict.fromkeys(name for row in some for name in row.scores))
    starts = [score for row in some if row.kind == KINDS[0] and (score := row.mean(sets)) is not None]
    cells = []
    for row in some:
        total = row.mean(sets)
        gain = "-" if total is None or not starts else f"{100 * (total - max(starts)):+.1f}"
        whole = "-" if total is None else f"{100 * total:.1f}"
        cells.append([row.kind, row.experiment, *(summary(row.scores.get(name, [])) for name in sets), whole, gain])
    return ["", "experiment", *sets, "mean", "gain over source-only"], cells


def as_table(some: Sequence[Row]) -> Table:
    """Return what `rich` prints."""
    headings, cells = side_by_side(some)
    table = Table(title="mIoU in percent by target set")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index > 1 else "left")
    for line in cells:
        table.add_row(*line)
    return table
