"""The table over several runs: mean and spread by experiment."""

import json
from pathlib import Path

from tests.scripts import run_script


def write(folder: Path, name: str, road: float, train: float | None) -> None:
    folder.mkdir(parents=True)
    result = {"name": name, "val/miou": road, "val/iou": {"road": road, "train": train}}
    (folder / "metrics.json").write_text(json.dumps(result))


def test_runs_of_one_name_are_averaged_and_sorted(tmp_path: Path) -> None:
    for seed, score in enumerate((0.5, 0.6, 0.7)):
        write(tmp_path / "sweep" / str(seed), "hrda", score, None)
    write(tmp_path / "single", "source_only", 0.3, None)
    rows = run_script("results_table", tmp_path, "--markdown").stdout.strip().splitlines()
    assert rows[0] == "| experiment | runs | mIoU | road |"  # a class that never occurs has no column
    assert rows[2:] == ["| source_only | 1 | 30.0 | 30 |", "| hrda | 3 | 60.0 ± 10.0 | 60 |"]
    assert "60.0 ± 10.0" in run_script("results_table", tmp_path).stdout


def test_runs_that_were_asked_for_different_things_are_not_averaged(tmp_path: Path) -> None:
    for index, (asked, score) in enumerate([("lambda_d=0", 0.2), ("lambda_d=0", 0.4), ("lambda_d=1", 0.9)]):
        folder = tmp_path / str(index)
        write(folder, "hrda", score, None)
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text(f"- {asked}\n- seed={index}\n- data_root=/{index}\n")
    rows = run_script("results_table", tmp_path, "--markdown").stdout.strip().splitlines()
    assert rows[2:] == ["| hrda, lambda_d=0 | 2 | 30.0 ± 14.1 | 30 |", "| hrda, lambda_d=1 | 1 | 90.0 | 90 |"]


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    done = run_script("results_table", tmp_path)
    assert done.returncode == 2
    assert "no metrics.json below" in done.stderr
