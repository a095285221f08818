"""What is said of a run: version of the code, teacher's distance, memory, and its name on W&B."""

import copy
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from hrda_lit.dashboards.run_name import swept_overrides
from hrda_lit.dashboards.wandb_run import WandbRun
from hrda_lit.training.ema_teacher import relative_distance
from hrda_lit.training.run_facts import code_version, memory


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_the_commit_is_that_of_a_checkout_and_says_when_files_differ(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("a = 1\n")
    assert code_version(file)["commit"] is None
    git(tmp_path, "init")
    assert code_version(file)["commit"] is None  # a package in somebody else's checkout is not part of it
    git(tmp_path, "add", "module.py")
    git(tmp_path, "commit", "-m", "first")
    clean = code_version(file)["commit"]
    assert clean is not None
    assert len(clean) == 40
    file.write_text("a = 2\n")
    assert code_version(file)["commit"] == f"{clean}-dirty"


def test_the_distance_is_relative_to_the_student() -> None:
    student = nn.Linear(3, 4)
    teacher = copy.deepcopy(student)
    assert relative_distance(teacher, student) == 0
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1.5)
    assert relative_distance(teacher, student) == pytest.approx(0.5)


def test_memory_is_that_of_the_process_in_gib() -> None:
    held = torch.ones(2**28)  # floats of 4 bytes: 1 GiB
    assert 1 < memory(held.device) < 64


def test_only_what_a_sweep_varies_names_its_jobs(tmp_path: Path) -> None:
    overrides = ["experiment=hrda_demo", "lambda_d=0.1", "seed=2"]
    assert swept_overrides(overrides, tmp_path) == overrides
    (tmp_path / "multirun.yaml").write_text(
        "hydra: {overrides: {task: ['experiment=hrda_demo', 'lambda_d=0,0.1', 'seed=1,2']}}"
    )
    assert swept_overrides(overrides, tmp_path) == ["lambda_d=0.1", "seed=2"]


@pytest.mark.parametrize(("inside", "name", "group"), [(True, "lambda_d=0.1", "night"), (False, "hrda", None)])
def test_a_job_of_a_sweep_is_grouped_and_a_single_run_is_not(
    inside: bool, name: str, group: str | None, tmp_path: Path
) -> None:
    sweep = tmp_path / "night"
    folder = sweep / "3" if inside else tmp_path / "single"
    logger = WandbRun("hrda", str(folder), ["lambda_d=0.1"], str(sweep), "offline")
    assert logger._wandb_init["name"] == name
    assert logger._wandb_init.get("group") == group


def test_an_online_run_needs_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wandb.login", lambda **_: False)
    with pytest.raises(
        ValueError, match=r"logger.wandb.mode=online cannot be used \(it needs a login.*logger.wandb.mode=offline"
    ):
        WandbRun("hrda", "run", [], "sweep", "online")
