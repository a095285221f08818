"""The command, stopped and started again."""

import csv
import json
import os
import re
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.commands import Command, run

FIXED = [
    "experiment=hrda_demo", "debug=smoke", "prepare_data=null", "callbacks.progress=null", "callbacks.pictures=null",
    "callbacks.confusion=null", "loading.num_workers=1", "loading.val_workers=1", "trainer.limit_val_batches=1",
    "trainer.val_check_interval=100",
]  # fmt: skip


def command(folder: Path, demo_root: Path, *overrides: str) -> list[str]:
    places = [f"data_root={demo_root}", f"cache_dir={folder}/cache"]
    return ["hrda_lit.train", *overrides, *FIXED, *places]


def stop(command: list[str], folder: Path, signum: int, begun: str) -> tuple[int, str, str]:
    """Start a command, and send a signal to its whole process group once a file is there.

    Returns:
        The exit code, stderr and stdout.
    """
    process = Command(*command, cwd=folder)
    while not list(folder.glob(begun)) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signum)
    done = process.wait(timeout=120)
    return done.returncode, done.stderr, done.stdout


def steps(folder: Path) -> list[int]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_the_command_that_a_stopped_run_names_goes_on(tmp_path: Path, demo_root: Path) -> None:
    asked = command(tmp_path, demo_root, "resume=auto", "trainer.max_steps=12")
    code, said, _ = stop(asked, tmp_path, signal.SIGTERM, "outputs/*/*/metrics.csv")
    assert code == 143
    assert "Traceback" not in said
    [folder] = (tmp_path / "outputs" / "hrda_demo").iterdir()
    first = steps(folder)
    assert (
        f"SIGTERM stopped the run after step {len(first)}, saved in {folder}/checkpoints/last.ckpt; resume with: "
        in said
    )

    again = shlex.split(said.strip().splitlines()[-1].partition("resume with: ")[2])
    assert again[-2:] == [f"hydra.run.dir={folder}", "resume=auto"]
    assert again[1] == "-m"
    done = run(*again[2:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resumed from {folder}/checkpoints/last.ckpt after step {len(first)}" in done.stdout
    assert steps(folder) == list(range(12))
    assert json.loads((folder / "metrics.json").read_text())["step"] == 12

    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.suffix in (".csv", ".json", ".ckpt")}
    once_more = run(*asked, cwd=tmp_path)  # finds it by its config
    assert once_more.returncode == 0, once_more.stderr
    assert f"the run in {folder} is complete, nothing is changed" in once_more.stdout
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_a_stopped_sweep_says_what_is_done(tmp_path: Path, demo_root: Path) -> None:
    asked = command(tmp_path, demo_root, "-m", "seed=0,1", "trainer.max_steps=3", "hydra.sweep.dir=night")
    code, said, shown = stop(asked, tmp_path, signal.SIGINT, "night/1/metrics.csv")
    assert code == 130
    assert "Traceback" not in said
    assert re.search(r"resume with: \S*python\d* -m hrda_lit.train -m seed=0,1", said)
    assert "1 of 2 jobs done, then stopped" in shown
    with (tmp_path / "night" / "sweep.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["done", "unfinished"]
    again = run(*asked, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "job 0 finished earlier" in again.stdout
    assert [steps(tmp_path / "night" / str(job)) for job in range(2)] == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_first_step(signum: int, tmp_path: Path, demo_root: Path) -> None:
    asked = command(tmp_path, demo_root, "hydra.run.dir=run")
    code, said, _ = stop(asked, tmp_path, signum, "run/train.log")
    assert code == 128 + signum
    assert f"{signal.Signals(signum).name} stopped the run" in said
    assert "Traceback" not in said
