"""Jobs on disk: begun, failed, finished, begun again."""

import json
import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hrda_lit.runs.claim import release_all
from hrda_lit.tables import sweeps as module
from hrda_lit.tables.hydra_callbacks import SweepTable
from hrda_lit.tables.records import RunRecord, parse, swept_keys
from hrda_lit.tables.sweeps import begin_job, fail_job, read_jobs


def read(folder: Path) -> RunRecord:
    found = module.read_job(folder)
    assert found is not None
    return found


def finish(folder: Path, miou: float | None = 0.5) -> None:
    (folder / "metrics.json").write_text(json.dumps({"val/miou": miou, "val/iou": {"road": miou, "train": None}}))


def test_a_job_goes_through_its_states(tmp_path: Path) -> None:
    assert not begin_job(tmp_path, 3, ["lambda_d=0.1"])
    assert read(tmp_path).state == "unfinished"
    fail_job(tmp_path, "no data")
    assert (read(tmp_path).state, read(tmp_path).reason) == ("failed", "no data")
    assert begin_job(tmp_path, 3, ["lambda_d=0.1"])  # tried again
    assert read(tmp_path).state == "unfinished"
    finish(tmp_path)
    assert read(tmp_path) == RunRecord(3, {"lambda_d": "0.1"}, 0.5, {"road": 0.5, "train": math.nan})
    assert begin_job(tmp_path, 3, ["lambda_d=0.1"])
    assert read(tmp_path).state == "done"


def test_the_result_of_another_job_is_not_taken_over(tmp_path: Path) -> None:
    begin_job(tmp_path, 0, ["lambda_d=0.1"])
    finish(tmp_path)
    assert not begin_job(tmp_path, 0, ["lambda_d=0.2"])
    assert read(tmp_path) == RunRecord(0, {"lambda_d": "0.2"}, pytest.approx(math.nan, nan_ok=True))


def test_a_run_that_scored_nothing_is_unfinished(tmp_path: Path) -> None:
    begin_job(tmp_path, 0, [])
    finish(tmp_path, None)
    assert read(tmp_path).state == "unfinished"


def test_jobs_are_read_by_number_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        begin_job(tmp_path / str(number), number, [f"seed={number}"])
    (tmp_path / ".submitit").mkdir()
    assert [job.number for job in read_jobs(tmp_path)[0]] == [1, 9, 10]


def test_overrides_are_split_at_the_first_sign() -> None:
    assert parse(["+a.b=c=d", "~x", "++y=[1,2]"]) == {"a.b": "c=d", "x": "~", "y": "[1,2]"}


def test_swept_keys_are_those_in_which_jobs_differ() -> None:
    some = [
        RunRecord(0, {"name": "a", "tau": "0.9", "seed": "0"}),
        RunRecord(1, {"name": "a", "tau": "0.9", "seed": "1", "x": "1"}),
    ]
    assert swept_keys(some) == ["seed", "x"]


@pytest.mark.parametrize("cut", ["", "{", "[]", '{"number": 3}', '{"number": 3, "overrides": null}'])
def test_a_record_that_was_cut_is_made_anew(cut: str, tmp_path: Path) -> None:
    begin_job(tmp_path, 3, ["lambda_d=0.1"])
    finish(tmp_path)
    (tmp_path / "job.json").write_text(cut)
    jobs, damaged = read_jobs(tmp_path)
    assert (jobs, len(damaged)) == ([], 1)
    assert begin_job(tmp_path, 3, ["lambda_d=0.1"])
    assert read(tmp_path).state == "done"


@pytest.mark.parametrize("name", ["metrics.json", "failure.json"])
@pytest.mark.parametrize("cut", ["", "{", "[]", "{}", "null"])
def test_a_result_that_was_cut_counts_as_none(name: str, cut: str, tmp_path: Path) -> None:
    begin_job(tmp_path, 3, ["lambda_d=0.1"])
    (tmp_path / name).write_text(cut)
    assert read(tmp_path).state == "unfinished"


@pytest.mark.parametrize("chdir", [False, True])
def test_jobs_that_run_elsewhere_know_the_folder_of_their_sweep(
    chdir: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {"sweep": {"dir": "sweep"}, "job": {"chdir": chdir}, "overrides": {"task": ["seed=0"], "hydra": []}}
    config = OmegaConf.create({"hydra": keys})
    with release_all():
        SweepTable().on_multirun_start(config)
    assert config.hydra.sweep.dir == (str(tmp_path / "sweep") if chdir else "sweep")
