"""Tables and files of results, read back."""

import csv
import json
import math
from pathlib import Path

import torch

from hrda_lit.data.classes import CITYSCAPES, Classes
from hrda_lit.tables.breakdown import BANDS, SIZES, Breakdown, find_structure
from hrda_lit.tables.scores import (
    breakdown_measures,
    iou_measures,
    iou_table,
    score_table,
    write_csv,
    write_metrics,
)

CLASSES = Classes(("ground", "car", "sky"), ((0, 0, 0),) * 3, frozenset({1}))
IOU = torch.tensor([0.5, math.nan, 0.25], dtype=torch.double)


def test_measures_of_own_classes_have_one_mean() -> None:
    measures = iou_measures(IOU, CLASSES)
    assert measures["miou"] == {"mIoU": 0.375}
    assert measures["iou"]["ground"] == 0.5
    assert math.isnan(measures["iou"]["car"])


def test_cityscapes_has_the_means_of_synthia() -> None:
    assert list(iou_measures(torch.rand(19), CITYSCAPES)["miou"]) == ["mIoU", "mIoU 16", "mIoU 13"]


def test_table_of_several_predictions() -> None:
    label = torch.zeros(8, 8, dtype=torch.long)
    label[:4] = 1
    columns = {}
    for name, prediction in {"fused": label, "context": torch.zeros_like(label)}.items():
        breakdown = Breakdown(CLASSES)
        breakdown.update(prediction, label, find_structure(label, CLASSES))
        columns[name] = breakdown_measures(breakdown, CLASSES)
    table = score_table("a title", columns)
    assert table.headings == ["class", "fused", "context"]
    rows = {name: cells for name, *cells in table.rows}
    assert rows["ground"] == ["100.0", "50.0"]
    assert rows["car"] == ["100.0", "0.0"]
    assert rows["sky"] == ["absent", "absent"]
    assert rows["mIoU"] == ["100.0", "25.0"]
    assert rows["mIoU 1-2 px from a border"] == ["100.0", "25.0"]
    assert rows["mIoU of things < 32x32 px"] == ["100.0", "0.0"]
    assert rows["recall of things < 32x32 px"] == ["100.0", "0.0"]
    assert len(rows) == len(CLASSES) + 1 + len(BANDS) + 2 * len(SIZES)


def test_table_after_training() -> None:
    table = iou_table(IOU, CLASSES, "after 7 steps")
    assert table.rows == [("ground", "50.0"), ("car", "absent"), ("sky", "25.0"), ("mIoU", "37.5")]


def test_many_classes_stand_side_by_side() -> None:
    table = iou_table(torch.arange(19) / 20, CITYSCAPES, "")
    assert table.headings == ["class", "IoU %"] * 2
    assert table.rows[0] == ("road", "0.0", "sky", "50.0")
    assert sum(len(row) // 2 for row in table.rows) == 19 + 3


def test_metrics_json_is_json(tmp_path: Path) -> None:
    extra = {"name": "x", "deep": {"er": {"nothing": math.nan, "text": "nan"}}}
    write_metrics(tmp_path / "metrics.json", IOU, CLASSES, extra)
    text = (tmp_path / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text) == {
        "val/miou": 0.375,
        "val/iou": {"ground": 0.5, "car": None, "sky": 0.25},
        "name": "x",
        "deep": {"er": {"nothing": None, "text": "nan"}},
    }


def test_csv_has_a_line_per_number(tmp_path: Path) -> None:
    write_csv(tmp_path / "metrics.csv", {"val": {"fused": iou_measures(IOU, CLASSES)}})
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["measure"], row["name"], row["value"]) for row in rows] == [
        ("iou", "ground", "0.5"),
        ("iou", "car", ""),
        ("iou", "sky", "0.25"),
        ("miou", "mIoU", "0.375"),
    ]
    assert {(row["dataset"], row["prediction"]) for row in rows} == {("val", "fused")}
