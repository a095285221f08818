"""metrics.csv has one row per step, also after a run was killed and went on."""

import csv
from pathlib import Path

import pytest
import torch

from hrda_lit.dashboards.tensorboard import TensorBoard
from hrda_lit.dashboards.wandb_run import WandbRun
from hrda_lit.runs.loggers import MetricsCSV, read_rows, resume_loggers, resume_states


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(logger: MetricsCSV, steps: range) -> None:
    for step in steps:
        logger.log_metrics({"loss": 1 / (step + 1), "epoch": 0}, step)
        if step % 2:
            logger.log_metrics({"val/miou": torch.tensor(step / 8), "epoch": 0}, step)


def test_what_belongs_to_a_step_is_one_row(tmp_path: Path) -> None:
    log(MetricsCSV(str(tmp_path)), range(4))
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]
    assert [row["loss"] for row in rows(tmp_path)] == [str(1 / n) for n in (1, 2, 3, 4)]
    assert [row["val/miou"] for row in rows(tmp_path)] == ["", "0.125", "", "0.375"]


@pytest.mark.parametrize("done", range(7))
@pytest.mark.parametrize("half", ["", "0,0.1", '0,"0.', "\0\0\0", "a,b,c,d,e\n", "0,,,\n"])
def test_a_run_that_goes_on_has_the_curve_of_one_that_never_stopped(done: int, half: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    log(MetricsCSV(str(whole)), range(6))
    log(MetricsCSV(str(killed)), range(6))
    with (killed / "metrics.csv").open("a") as file:
        file.write(half)  # as a crash of the machine leaves it
    again = MetricsCSV(str(killed))
    again.resume(done, {})
    assert [row["step"] for row in rows(killed)] == [str(step) for step in range(done or 6)][:6] or done == 0
    log(again, range(done, 6))
    if done < 6:
        assert (killed / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    else:
        assert rows(killed) == rows(whole)


def test_a_damaged_line_that_is_longer_than_any_field_is_skipped(tmp_path: Path) -> None:
    log(MetricsCSV(str(tmp_path)), range(4))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("x" * 200_000)
    assert [row["step"] for row in read_rows(tmp_path / "metrics.csv")] == ["0", "1", "2", "3"]


def test_a_validation_that_is_repeated_is_logged_once(tmp_path: Path) -> None:
    log(MetricsCSV(str(tmp_path)), range(2))
    before = (tmp_path / "metrics.csv").read_bytes()
    again = MetricsCSV(str(tmp_path))
    again.resume(2, {})
    again.log_metrics({"val/miou": 0.125, "epoch": 0}, 1)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_new_run_begins_anew(tmp_path: Path) -> None:
    log(MetricsCSV(str(tmp_path)), range(4))
    log(MetricsCSV(str(tmp_path)), range(1))
    assert [row["step"] for row in rows(tmp_path)] == ["0"]


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "metrics.csv") == []


def test_loggers_go_on_with_what_the_checkpoint_kept(tmp_path: Path) -> None:
    first = WandbRun("a", str(tmp_path), [], "sweep", "offline", id="abc")
    kept = resume_states([first, MetricsCSV(str(tmp_path))])
    assert kept == {"WandbRun": {"id": "abc"}, "MetricsCSV": {}}
    second, board = WandbRun("a", str(tmp_path), [], "sweep", "offline"), TensorBoard(str(tmp_path))
    resume_loggers([second, board], 7, kept)
    assert second.version == "abc"
    assert second._wandb_init["id"] == "abc"
    assert second._wandb_init["resume"] == "allow"
    assert board._kwargs["purge_step"] == 7
    resume_loggers([WandbRun("a", str(tmp_path), [], "sweep", "offline")], 7, {})  # a checkpoint of a run without W&B
