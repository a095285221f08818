"""The table over several runs: mean and spread by experiment."""

import json
import os
from pathlib import Path
from typing import Any

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
    assert "no finished run" in done.stderr


def run(folder: Path, score: float, seed: int = 0, asked: tuple[str, ...] = (), **facts: Any) -> None:
    """Write what a training leaves."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {one}\n" for one in (f"seed={seed}", *asked)))
    sets = dict(zip(("source", "target", "val"), facts.pop("data", ("gta5", "cityscapes", "cityscapes")), strict=True))
    result = {"name": "hrda", "val/miou": score, "val/iou": {"road": score}, "seed": seed, "data": sets, **facts}
    (folder / "metrics.json").write_text(json.dumps(result))


def test_thirty_four_runs_are_rows_of_80_columns(tmp_path: Path) -> None:
    for seed in range(3):
        for index in range(5):
            asked = (f"network.backbone.options.drop_path_rate=0.{index}", "optim.lr=1e-4", f"run_dir=/x/{index}{seed}")
            run(tmp_path / f"a{index}{seed}", 0.5 + index / 100, seed, asked, kind="adaptation")
        run(tmp_path / f"acdc{seed}", 0.4, seed, ("dataset@target=acdc",), data=("gta5", "acdc", "acdc"))
        for index in range(5):
            run(tmp_path / f"b{index}{seed}", 0.3, seed, (f"network.head.channels={index}",), name="source_only_gta",
                kind="source-only")  # fmt: skip
    run(tmp_path / "single", 0.2, 0, ("~data.rare_class",), name="oracle", kind="oracle")
    lines = run_script("results_table", tmp_path).stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "".join(" ".join(lines).split())
    assert [one for one in ("source-only:", "adaptation:", "oracle:") if one in text] == [
        "source-only:", "adaptation:", "oracle:",
    ]  # fmt: skip
    assert "gta5→acdc" in text
    assert "~data.rare_class" in text
    assert "head.channels=4" in text
    for unsaid in ("network.", "run_dir", "dataset@", "seed="):
        assert unsaid not in text
    [best] = [line for line in lines if "54.0 ± 0.0" in line]
    assert best.split()[-2:] == ["+24.0", "3"]
    assert "IoU of the classes: --markdown" in lines[-1]


def test_a_deleted_key_tells_runs_apart(tmp_path: Path) -> None:
    run(tmp_path / "0", 0.2)
    run(tmp_path / "1", 0.4, 0, ("~data.rare_class",))
    run(tmp_path / "2", 0.6, 0, ("data.rare_class.max_tries=3",))
    rows = run_script("results_table", tmp_path, "--markdown").stdout.strip().splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| hrda", "| hrda, ~data.rare_class", "| hrda, data.rare_class.max_tries=3",
    ]  # fmt: skip


def test_a_seed_counts_once_and_the_newest_counts(tmp_path: Path) -> None:
    reporting = ("logger=wandb", "trainer.val_check_interval=9")
    for index, (seed, score, asked) in enumerate([(0, 0.9, ()), (0, 0.5, reporting), (1, 0.7, ())]):
        run(tmp_path / str(index), score, seed, asked)
        os.utime(tmp_path / str(index) / "metrics.json", (index + 1, index + 1))
    rows = run_script("results_table", tmp_path, "--markdown").stdout.strip().splitlines()
    assert rows[2:] == ["| hrda | 2 | 60.0 ± 14.1 | 60 |"]
    os.utime(tmp_path / "0" / "metrics.json", (9, 9))
    rows = run_script("results_table", tmp_path, tmp_path / "0", "--markdown").stdout.strip().splitlines()
    assert rows[2:] == ["| hrda | 2 | 80.0 ± 14.1 | 80 |"]


def test_evaluations_have_a_table_of_their_own(tmp_path: Path) -> None:
    run(tmp_path / "train", 0.5)
    scored = {"kind": "adaptation", "experiment": "hrda", "sets": {"val": "acdc"}, "name": "hrda, student, on acdc",
              "datasets": {"val": {"fused": {"miou": {"19 classes": 0.25}}}}}  # fmt: skip
    (tmp_path / "evaluate").mkdir()
    content = {**scored, "val/miou": 0.25, "val/iou": {"road": 0.25}}
    (tmp_path / "evaluate" / "metrics.json").write_text(json.dumps(content))
    trainings, evaluations = run_script("results_table", tmp_path).stdout.split("Evaluations")
    assert "50.0" in trainings
    assert "25.0" not in trainings
    assert "25.0" in evaluations
    (tmp_path / "train" / "metrics.json").unlink()
    assert "acdc" in run_script("results_table", tmp_path).stdout


def test_linked_folders_are_followed_once_and_missing_ones_named(tmp_path: Path) -> None:
    run(tmp_path / "elsewhere" / "run", 0.5)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    done = run_script("results_table", tmp_path / "runs", tmp_path / "misspelt", "--markdown")
    assert done.stdout.strip().splitlines()[2:] == ["| hrda | 1 | 50.0 | 50 |"]
    assert f"passed over: {tmp_path / 'misspelt'} cannot be read" in done.stderr


def test_trainings_whose_values_look_alike_stay_apart(tmp_path: Path) -> None:
    for index, value in enumerate(("0.65638081669", "0.65638099999")):
        run(tmp_path / str(index), 0.4 + index / 10, 0, (f"lambda_d={value}",))
    rows = run_script("results_table", tmp_path, "--markdown").stdout.strip().splitlines()
    assert rows[2:] == ["| hrda, lambda_d=0.6564 | 1 | 40.0 | 40 |", "| hrda, lambda_d=0.6564 (2) | 1 | 50.0 | 50 |"]


def test_what_tables_leave_out_is_said(tmp_path: Path) -> None:
    run(tmp_path / "done", 0.5, ended="trainer.max_time ended it after 3 of 9 steps")
    for number in range(2):
        (tmp_path / f"cut{number}" / ".hydra").mkdir(parents=True)
        (tmp_path / f"cut{number}" / "config.yaml").write_text("name: hrda\n")
    (tmp_path / "blind").mkdir()
    (tmp_path / "blind" / "metrics.json").write_text(json.dumps({"name": "hrda", "step": 9}))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "metrics.json").write_text(json.dumps({"name": "hrda", "val/miou": "x", "val/iou": {}}))
    done = run_script("results_table", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "50.0*" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[0].endswith("trainer.max_time ended it after 3 of 9 steps")
    assert str(tmp_path / "bad" / "metrics.json") in lines[1]
    assert lines[2:] == [
        "1 damaged record passed over",
        f"2 runs have not finished: {tmp_path / 'cut0'}, {tmp_path / 'cut1'}",
        f"1 run has no validation set: {tmp_path / 'blind'}",
    ]
