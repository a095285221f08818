"""What adaptation adds: source-only, generalised, adapted and oracle networks over several target sets."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

from hrda_lit.system.files import read_json
from hrda_lit.tables.collect import SETS, asked_of, metrics_below
from hrda_lit.tables.jobs import SEED, Job, swept_keys
from hrda_lit.tables.kinds import KINDS
from hrda_lit.tables.settings import signed, summary, written

CHECKPOINT, MODEL = "checkpoint", "model"
# They say where things lie and what is told, not how a checkpoint is scored.
ELSEWHERE = {CHECKPOINT, MODEL, SEED, "device", "workers", "views", "weights"} | SETS


class Row(NamedTuple):
    """An experiment: of which kind it is, and its mIoU on each set, fractions, one per evaluated checkpoint."""

    kind: str
    experiment: str
    scores: dict[str, list[float]]

    def mean(self, sets: Sequence[str]) -> float | None:
        """Return the mean over all sets; None where one is not scored."""
        return mean(mean(self.scores[name]) for name in sets) if all(name in self.scores for name in sets) else None


def rows(folders: Sequence[Path]) -> list[Row]:
    """Gather what `hrda_lit.evaluate` scored, at any depth below some folders.

    Args:
        folders: where to look.

    Returns:
        One row per experiment, by kind and then from worst to best.

    Raises:
        FileNotFoundError: if nothing was scored.
    """
    found = [scored for path in metrics_below(folders) for scored in _scores(path, read_json(path))]
    if not found:
        raise FileNotFoundError(
            f"no result of hrda_lit.evaluate below {[str(folder) for folder in folders]}; evaluate checkpoints first."
        )
    # Of what was scored twice, the newest counts.
    newest = {(one.kind, one.experiment, one.who, one.on): one for one in found}.values()
    differing = [key for key in swept_keys([Job(0, one.asked) for one in newest]) if key != SEED]
    made: dict[tuple[str, str], Row] = {}
    for one in newest:
        others = [written(key, one.asked[key]) for key in differing if one.asked.get(key)]
        name = ", ".join([one.experiment, *others])
        row = made.setdefault((one.kind, name), Row(one.kind, name, {}))
        row.scores.setdefault(one.on, []).append(one.score)
    return sorted(made.values(), key=lambda row: (KINDS.index(row.kind), mean(map(mean, row.scores.values()))))


class _Scored(NamedTuple):
    """A network on a data set: what was asked for in its training and its evaluation, and by what it is known."""

    kind: str
    experiment: str
    asked: dict[str, str]
    who: Any
    on: str
    score: float


def _scores(path: Path, metrics: Any) -> Iterator[_Scored]:
    if not isinstance(metrics, dict) or metrics.get("kind") not in KINDS or "datasets" not in metrics:
        return
    checkpoint = Path(str(metrics.get(CHECKPOINT, path)))
    trained = asked_of(checkpoint.parent.parent)
    scored = {key: value for key, value in (asked_of(path.parent) or {}).items() if key not in ELSEWHERE}
    which = {CHECKPOINT: checkpoint.name, MODEL: str(metrics.get(MODEL, ""))}
    asked = {**(trained or {}), **scored, **which}
    # Without a record of its training, it is known by its file alone.
    who = (tuple(sorted(asked.items())), None if trained else str(checkpoint))
    for key, views in metrics["datasets"].items():
        score = next(iter(views["fused"]["miou"].values()))
        if score is not None:
            yield _Scored(metrics["kind"], metrics["experiment"], asked, who, metrics["sets"][key], score)


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
        gain = "-" if total is None or not starts else signed(total - max(starts))
        whole = "-" if total is None else f"{100 * total:.1f}"
        cells.append([row.kind, row.experiment, *(summary(row.scores.get(name, [])) for name in sets), whole, gain])
    return ["", "experiment", *sets, "mean", "gain over source-only"], cells


def as_table(some: Sequence[Row]) -> Table:
    """Return what `rich` prints."""
    headings, cells = side_by_side(some)
    title = "Evaluations: mIoU in percent by target set"
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index > 1 else "left", overflow="fold")
    for line in cells:
        table.add_row(*line)
    return table
