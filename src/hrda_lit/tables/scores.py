"""The scores of a run: a table of IoU per class, metrics.json and metrics.csv."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.inference.iou import class_iou, logged_means, mean_ious
from hrda_lit.system.files import write_atomically, write_json
from hrda_lit.system.table import Table, as_csv
from hrda_lit.tables.breakdown import Breakdown

Measures = Mapping[str, Mapping[str, float]]  # e.g. {"iou": {"road": 0.9}}; fractions, NaN where nothing occurs
_ROWS = {
    "border_miou": "mIoU {} from a border",
    "size_miou": "mIoU of things {}",
    "size_recall": "recall of things {}",
}

LONGEST = 12  # rows of classes that fit on a screen; more stand in several columns


def iou_measures(iou: Float[Tensor, " C"], classes: Classes) -> dict[str, dict[str, float]]:
    """Name the IoU of each class and their means.

    Args:
        iou: fractions; NaN for classes that do not occur, which the means leave out.
        classes: names.

    Returns:
        "iou" by class and "miou" by the set of classes.
    """
    return {
        "iou": dict(zip(classes.names, iou.tolist(), strict=True)),
        "miou": mean_ious(iou, classes.names),
    }


def breakdown_measures(breakdown: Breakdown, classes: Classes) -> dict[str, dict[str, float]]:
    """Add mIoU by distance from a class border, and mIoU and recall of things by size, to `iou_measures`."""
    measures = iou_measures(class_iou(breakdown.confusion), classes)
    return {**measures, **{name: getattr(breakdown, name) for name in ("border_miou", "size_miou", "size_recall")}}


def mean_over(sets: Mapping[str, Measures]) -> Measures:
    """Average measures over datasets; a class that one lacks is averaged over the others.

    Args:
        sets: measures by dataset, with the same names in all of them.

    Returns:
        The means; NaN if nothing occurs.
    """
    first = next(iter(sets.values()))
    return {
        measure: {name: _mean([one[measure][name] for one in sets.values()]) for name in values}
        for measure, values in first.items()
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def score_table(title: str, columns: Mapping[str, Measures]) -> Table:
    """Lay measures out in percent, one section each.

    Args:
        title: of the table.
        columns: measures by heading, with the same names in all of them.
    """
    table = Table(["class", *columns], title)
    for measure, values in next(iter(columns.values())).items():
        for name in values:
            row = _ROWS.get(measure, "{}").format(name)
            table.add(row, *(_percent(column[measure][name]) for column in columns.values()))
        table.end_section()
    return table


def iou_table(iou: Float[Tensor, " C"], classes: Classes, title: str) -> Table:
    """Lay out IoU per class and their means in percent; many classes stand in several columns.

    Args:
        iou: fractions; NaN for classes that do not occur, which the means leave out.
        classes: names.
        title: of the table.
    """
    columns = math.ceil(len(classes) / LONGEST)
    table = Table(["class", "IoU %"] * columns, title)
    for values in iou_measures(iou, classes).values():
        cells = [(name, _percent(value)) for name, value in values.items()]
        rows = math.ceil(len(cells) / columns)
        for row in range(rows):
            table.add(*(text for cell in cells[row::rows] for text in cell))
        table.end_section()
    return table


def write_metrics(path: Path, iou: Float[Tensor, " C"], classes: Classes, extra: dict[str, Any]) -> None:
    """Write mIoU and IoU per class as fractions; what does not occur is null.

    Args:
        path: of metrics.json.
        iou: fractions or NaN.
        classes: names.
        extra: further entries.
    """
    per_class = dict(zip(classes.names, iou.tolist(), strict=True))
    write_json(path, _without_nan({**logged_means(iou, classes.names), "val/iou": per_class, **extra}))


def write_csv(path: Path, scores: Mapping[str, Mapping[str, Measures]]) -> None:
    """Write one line per number, a fraction; empty if nothing occurs.

    Args:
        path: of metrics.csv.
        scores: measures by dataset and prediction.
    """
    lines: list[tuple[str | float, ...]] = [("dataset", "prediction", "measure", "name", "value")]
    for dataset, predictions in scores.items():
        for prediction, measures in predictions.items():
            for measure, values in measures.items():
                lines += [(dataset, prediction, measure, name, _filled(value)) for name, value in values.items()]
    write_atomically(path, as_csv(lines))


def _filled(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _percent(value: float) -> str:
    return "absent" if math.isnan(value) else f"{100 * value:.1f}"


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    return None if isinstance(content, float) and content != content else content
