"""Evaluations side by side: kinds, means over sets and seeds, the gain over source-only."""

import json
from pathlib import Path

import pytest

from hrda_lit.sweeps.side_by_side import kind_of, rows
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


def test_without_evaluations_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no result of hrda_lit\.evaluate below .*; evaluate checkpoints"):
        rows([tmp_path])


def test_kinds() -> None:
    def kind(method: str, source: str) -> str:
        return kind_of({"method": {"_target_": f"hrda_lit.methods.x.{method}"}, "source": {"name": source},
                        "val": {"name": "cityscapes"}})  # fmt: skip

    assert kind("Supervised", "gta5") == "source-only"
    assert kind("Supervised", "cityscapes") == "oracle"
    assert kind("SelfTraining", "gta5") == "adaptation"
