"""Evaluations side by side: kinds, means over sets and seeds, the gain over source-only."""

import json
import os
from pathlib import Path

from hrda_lit.tables.records import Results, facts_of
from hrda_lit.tables.results import evaluations, scores_by_set
from tests.scripts import run_script


def write(folder: Path, kind: str, experiment: str, scores: dict[str, float | None]) -> None:
    folder.mkdir(parents=True)
    keys = {f"k{index}": name for index, name in enumerate(scores)}
    sets = {key: {"fused": {"miou": {"19 classes": scores[name], "16 classes": 0.9}}} for key, name in keys.items()}
    content = {"kind": kind, "experiment": experiment, "sets": keys, "datasets": sets, "name": experiment}
    (folder / "metrics.json").write_text(json.dumps(content))


def test_rows_by_kind_with_mean_and_gain(tmp_path: Path) -> None:
    write(tmp_path / "oracle", "oracle", "oracle_demo", {"cityscapes": 0.8})
    write(tmp_path / "uda0", "adaptation", "hrda_demo", {"cityscapes": 0.7, "acdc": 0.4})
    write(tmp_path / "uda1", "adaptation", "hrda_demo", {"cityscapes": 0.8, "acdc": 0.4})
    write(tmp_path / "start", "source-only", "source_only_demo", {"cityscapes": 0.4, "acdc": 0.2})
    write(tmp_path / "dg", "generalisation", "generalise_demo", {"cityscapes": 0.5, "acdc": 0.3})
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "metrics.json").write_text(json.dumps({"name": "hrda_demo", "val/miou": 1}))
    lines = run_script("results_table", "--targets", "--markdown", tmp_path).stdout.strip().splitlines()
    assert lines[0] == "|  | experiment | cityscapes | acdc | mean | gain over source-only |"
    assert lines[2:] == [
        "| source-only | source_only_demo | 40.0 | 20.0 | 30.0 | +0.0 |",
        "| generalisation | generalise_demo | 50.0 | 30.0 | 40.0 | +10.0 |",
        "| adaptation | hrda_demo | 75.0 ± 7.1 | 40.0 ± 0.0 | 57.5 | +27.5 |",
        "| oracle | oracle_demo | 80.0 | - | - | - |",
    ]
    assert "+27.5" in run_script("results_table", "--targets", tmp_path).stdout


def test_checkpoints_count_once_and_apart_where_they_were_trained_or_scored_otherwise(tmp_path: Path) -> None:
    for number, asked in enumerate((["lambda_d=0.1", "seed=0"], ["lambda_d=0.1", "seed=1"], ["lambda_d=0.3"])):
        record(tmp_path / "runs" / str(number), asked)
    for index, (number, score, asked) in enumerate(
        [(0, 0.9, []), (0, 0.5, []), (1, 0.7, []), (2, 0.3, []), (2, 0.4, ["inference=tta", "device=cpu"])]
    ):
        folder = tmp_path / "evaluate" / str(index)
        write(folder, "adaptation", "hrda", {"cityscapes": score})
        content = json.loads((folder / "metrics.json").read_text())
        checkpoint = tmp_path / "runs" / str(number) / "checkpoints" / "last.ckpt"
        (folder / "metrics.json").write_text(json.dumps({**content, "checkpoint": str(checkpoint), "model": "student"}))
        os.utime(folder / "metrics.json", (index + 1, index + 1))
        record(folder, [f"checkpoint={checkpoint}", *asked])
    found = evaluations(Results.below([tmp_path]))
    assert {heading: scores_by_set(group)["cityscapes"] for heading, group in found.items()} == {
        "hrda, lambda_d=0.1": [0.5, 0.7],
        "hrda, lambda_d=0.3": [0.3],
        "hrda, lambda_d=0.3, inference=tta": [0.4],
    }


def record(folder: Path, asked: list[str]) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {one}\n" for one in asked))


def test_facts_of_a_run() -> None:
    config = {"kind": "generalisation", "seed": 3, "target": None,
              "source": {"name": "several", "sets": {"gta5": {}, "synthia": {}}}, "val": {"name": "acdc"}}  # fmt: skip
    sets = {"source": "gta5 + synthia", "target": None, "val": "acdc"}
    assert facts_of(config) == {"kind": "generalisation", "seed": 3, "data": sets}
