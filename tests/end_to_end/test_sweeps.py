"""Sweeps end with a table and a picture, whatever fails, and continue where they were stopped."""

import csv
import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import run

SMOKE = (
    "experiment=hrda_demo debug=smoke prepare_data=null callbacks.progress=null callbacks.pictures.count=0 "
    "source.size=[128,256] target.size=[128,256] val.size=[128,256] inference=whole callbacks.confusion=null"
)


def sweep(folder: Path, demo_root: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    places = [f"data_root={demo_root}", f"cache_dir={folder.parent}/cache", f"hydra.sweep.dir={folder}"]
    words = ("-m", *SMOKE.split(), *places, "trainer.limit_val_batches=1", *overrides)
    return run("hrda_lit.train", *words, cwd=folder.parent)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "sweep.csv") as file:
        return list(csv.DictReader(file))


def changed_at(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("metrics.json")}


@pytest.mark.parametrize("launcher", ["basic", "processes", pytest.param("slurm_local", marks=pytest.mark.thorough)])
def test_a_failed_job_fails_the_command_alone(launcher: str, tmp_path: Path, demo_root: Path) -> None:
    folder = tmp_path / "sweep"
    workers = ("loading.num_workers=1", "loading.val_workers=1")  # which each way to start a job must allow
    done = sweep(folder, demo_root, "lambda_d=2,0", "tau=0.9", f"hydra/launcher={launcher}", *workers)

    assert done.returncode == 1, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: failed 1 of 2 jobs (0) for the reasons above;")
    assert "job 0 (lambda_d=2) failed: lambda_d=2: expected" in done.stdout
    assert "GPU available" not in done.stdout + done.stderr, "notices of Lightning"
    rows = rows_of(folder)
    assert [(row["job"], row["state"]) for row in rows] == [("1", "done"), ("0", "failed")]
    result = json.loads((folder / "1" / "metrics.json").read_text())
    assert float(rows[0]["val/miou"]) == result["val/miou"]
    with Image.open(folder / "sweep.png") as picture:
        assert picture.width > 400


def test_a_stopped_sweep_goes_on(tmp_path: Path, demo_root: Path) -> None:
    folder = tmp_path / "sweep"
    asked = ("seed=0,1", "trainer.max_steps=3", "trainer.val_check_interval=1")
    first = sweep(folder, demo_root, *asked)
    assert first.returncode == 0, first.stderr
    assert "mean ± spread" in first.stdout
    whole = (folder / "1" / "metrics.json").read_text()
    # As a kill before the table of results leaves it.
    (folder / "1" / "metrics.json").unlink()
    curve = (folder / "1" / "metrics.csv").read_text()
    before = changed_at(folder / "0")

    again = sweep(folder, demo_root, *asked, "resume=auto")
    assert again.returncode == 0, again.stderr
    assert "job 0 finished earlier" in again.stdout
    assert "job 1 is resumed" in again.stdout
    assert f"resumed from {folder}/1/checkpoints/last.ckpt after step 3" in again.stdout
    assert (folder / "1" / "metrics.csv").read_text() == curve
    assert changed_at(folder / "0") == before
    assert (folder / "1" / "metrics.json").read_text() == whole

    other = sweep(folder, demo_root, "seed=0,1,2")
    assert other.returncode == 1
    assert "holds the sweep of experiment=hrda_demo" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1
    assert len(rows_of(folder)) == 2


def test_an_error_of_ours_is_a_failed_job_with_its_traceback_on_file(
    tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = tmp_path / "sweep"
    done = sweep(
        folder, demo_root, "seed=0", "trainer.max_steps=4", "+callbacks.kill._target_=tests.end_to_end.kill.Kill"
    )
    assert done.returncode == 1
    assert rows_of(folder)[0]["reason"] == "RuntimeError: killed"
    assert "Traceback" in (folder / "0" / "train.log").read_text()


def test_a_search_can_be_continued(tmp_path: Path, demo_root: Path) -> None:
    folder = tmp_path / "sweep"
    asked = ("hydra/sweeper=search", "hydra.sweeper.n_trials=2", "lambda_d=interval(0,1.8)")
    first = sweep(folder, demo_root, *asked)
    assert first.returncode == 1, first.stderr
    states = [row["state"] for row in rows_of(folder)]
    assert "done" in states
    assert all((float(row["lambda_d"]) > 1) == (row["state"] == "failed") for row in rows_of(folder))
    before = changed_at(folder)
    again = sweep(folder, demo_root, *asked)
    assert again.stdout.count("finished earlier") == states.count("done")
    assert changed_at(folder) == before
