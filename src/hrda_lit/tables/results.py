"""What a run ends with: a table of IoU per class, metrics.json and metrics.csv."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.inference.iou import class_iou, logged_means, mean_ious
from hrda_lit.system.files import write_atomically, write_json
from hrda_lit.tables.breakdown import Tally

Measures = Mapping[str, Mapping[str, float]]  # e.g. {"iou": {"road": 0.9}}; fractions, NaN where nothing occurs
_ROWS = {
    "border_miou": "mIoU {} from a border",
    "size_miou": "mIoU of things {}",
    "size_recall": "recall of things {}",
}

LONGEST = 12  # rows of a table on the screen, with what follows it; of more classes it has several columns


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


def tally_measures(tally: Tally, classes: Classes) -> dict[str, dict[str, float]]:
    """Add mIoU by distance from a class border, and mIoU and recall of things by size, to `iou_measures`."""
    measures = iou_measures(class_iou(tally.confusion), classes)
    parts = {name: getattr(tally, name) for name in ("border_miou", "size_miou", "size_recall")}
    return {**measures, **parts}


def mean_over(sets: Mapping[str, Measures]) -> Measures:
    """Average measures over data sets; a class that one lacks is averaged over the others.

    Args:
        sets: measures by data set, with the same names in all of them.

    Returns:
        The means, NaN where nothing occurs.
    """
    first = next(iter(sets.values()))
    return {
        measure: {name: _mean([one[measure][name] for one in sets.values()]) for name in values}
        for measure, values in first.items()
    }


def _mean(values: Sequence[float]) -> float:
    there = [value for value in values if value == value]
    return sum(there) / len(there) if there else float("nan")


def table(title: str, columns: Mapping[str, Measures]) -> Table:
    """Lay measures out in percent, one section each.

    Args:
        title: of the table.
        columns: measures by heading, with the same names in all of them.

    Returns:
        What `rich` prints.
    """
    made = Table(title=title)
    made.add_column("class")
    for heading in columns:
        made.add_column(heading, justify="right")
    for measure, values in next(iter(columns.values())).items():
        for name in values:
            row = _ROWS.get(measure, "{}").format(name)
            made.add_row(row, *(_percent(column[measure][name]) for column in columns.values()))
        made.add_section()
    return made


def print_iou(iou: Float[Tensor, " C"], classes: Classes, title: str) -> None:
    """Print IoU per class and their mean, in percent.

    Args:
        iou: fractions; NaN for classes that do not occur, which the mean leaves out.
        classes: names.
        title: of the table.
    """
    measures = iou_measures(iou, classes)
    if len(classes) <= LONGEST:
        Console().print(table(title, {"IoU %": measures}))
        return
    made = Table(title=title)
    columns = math.ceil(len(classes) / LONGEST)
    for _ in range(columns):
        made.add_column("class")
        made.add_column("IoU %", justify="right")
    for _, values in measures.items():
        cells = [(name, _percent(value)) for name, value in values.items()]
        rows = math.ceil(len(cells) / columns)
        for row in range(rows):
            made.add_row(*(text for cell in cells[row::rows] for text in cell))
        made.add_section()
    Console().print(made)


def print_and_write(path: Path, tables: list[Table]) -> None:
    """Print tables, and write them as text."""
    Console().print(*tables, sep="\n")
    page = io.StringIO()
    Console(file=page, width=120).print(*tables, sep="\n")
    write_atomically(path, page.getvalue().encode())


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
    """Write one line per number, a fraction; empty where nothing occurs.

    Args:
        path: of metrics.csv.
        scores: measures by data set and prediction.
    """
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(("dataset", "prediction", "measure", "name", "value"))
    writer.writerows(_lines(scores))
    write_atomically(path, page.getvalue().encode())


def _lines(scores: Mapping[str, Mapping[str, Measures]]) -> Iterator[tuple[str | float, ...]]:
    for dataset, predictions in scores.items():
        for prediction, measures in predictions.items():
            for measure, values in measures.items():
                for name, value in values.items():
                    yield dataset, prediction, measure, name, value if value == value else ""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "absent"


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    return None if isinstance(content, float) and content != content else content
