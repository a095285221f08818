"""How a run ends: places that are there, commands that can be run, and Slurm's queue."""

import shlex
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hrda_lit.runs.ending import command_line, end_stopped, next_commands, relative, resume_command, show_ending
from hrda_lit.system.signals import Stopped
from tests.scripts import parsed


@pytest.fixture(autouse=True)
def _outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig, "initialized", lambda: False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


@pytest.mark.parametrize("name", ["run", "a run", "a=b", "it's", "[x]", "ü", "a,b", "a\\b", "a\\", "1", "null"])
def test_the_command_can_be_pasted(name: str) -> None:
    folder = Path("/tmp") / name
    given = ["experiment=hrda_demo", "data.crop=[64, 64]", "resume=never", "++hydra.run.dir=else"]
    words = shlex.split(resume_command("hrda_lit.train", given, folder, sweep=False))
    assert words[:5] == ["python", "-m", "hrda_lit.train", "experiment=hrda_demo", "data.crop=[64, 64]"]
    place, resume = OverridesParser.create().parse_overrides(words[5:])
    assert (place.key_or_group, place.value()) == ("hydra.run.dir", str(folder))
    assert (resume.key_or_group, resume.value()) == ("resume", "auto")


def test_the_python_of_a_command_is_the_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def python() -> str:
        return shlex.split(command_line("hrda_lit.train"))[0]

    assert python() == "python", "in its environment"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert python() == sys.executable, "there is no other"
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert python() == sys.executable, "another one comes first"
    monkeypatch.chdir(Path(sys.executable).parent.parent)
    assert python() == f"bin/{Path(sys.executable).name}"


def test_places_are_seen_from_where_the_command_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "run" / "last.ckpt") == Path("run/last.ckpt")
    (tmp_path / "run").mkdir()
    monkeypatch.chdir("run")  # as hydra.job.chdir=true does
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create({"runtime": {"cwd": str(tmp_path)}}))
    assert relative(tmp_path / "run" / "last.ckpt") == Path("run/last.ckpt")
    assert relative(Path("/elsewhere")) == Path("/elsewhere")


def test_a_sweep_goes_on_by_its_folder() -> None:
    command = resume_command("hrda_lit.train", ["-m", "seed=0,1"], Path("multirun/a"), sweep=True)
    assert command == "python -m hrda_lit.train -m seed=0,1 hydra.sweep.dir=multirun/a"


def slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, array: bool) -> Path:
    """Put a scontrol on the path that notes what it is asked."""
    asked, script = folder / "asked", folder / "scontrol"
    script.write_text(f"#!/bin/sh\necho $@ > {asked}\nexit {code}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    if array:
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "10")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    return asked


@pytest.mark.parametrize(("array", "job"), [(False, "12"), (True, "10_3")])
def test_a_job_goes_back_into_the_queue(
    array: bool, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = slurm(tmp_path, monkeypatch, 0, array)
    assert end_stopped(Stopped(10, "after step 3"), "CMD") == 0
    assert asked.read_text() == f"requeue {job}\n"
    assert capsys.readouterr().err == "SIGUSR1 stopped the run after step 3; it is in the queue again: CMD\n"


def test_a_queue_that_refuses_is_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(tmp_path, monkeypatch, 1, False)
    assert end_stopped(Stopped(10), "CMD") == 138


def test_the_other_processes_of_a_run_are_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_stopped(Stopped(15, "after step 3"), "CMD") == 143
    assert capsys.readouterr().err == "SIGTERM stopped the run after step 3; resume with: CMD\n"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert end_stopped(Stopped(15), "CMD") == 0
    assert capsys.readouterr().err == ""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "out puts" / "it's, a run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/last.ckpt", "metrics.csv"):
        (folder / name).touch()
    monkeypatch.chdir(tmp_path)
    return folder


def test_only_what_is_there_is_named_and_no_line_is_broken(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_ending(OmegaConf.create({"run_dir": str(run)}), None)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "in out puts/it's, a run"
    assert [line.split()[0] for line in said[1:3]] == ["checkpoints/last.ckpt", "metrics.csv"]
    assert said[3] == "next"
    assert [line.split()[2] for line in said[4:]] == [
        "hrda_lit.evaluate",
        "hrda_lit.predict",
        "hrda_lit.scripts.compare_networks",
        "hrda_lit.scripts.plot_curves",
    ]


def test_commands_mean_the_files_that_are_there(run: Path) -> None:
    parser = OverridesParser.create()
    evaluate, predict, compare, curves = (shlex.split(line) for line in next_commands(run, run / "a b.png"))
    for words in (evaluate, predict):
        values = {one.key_or_group: one.value() for one in parser.parse_overrides(words[3:])}
        assert Path(str(values["checkpoint"])) == run / "checkpoints" / "last.ckpt"
    assert Path(str(values["input"])) == Path("out puts/it's, a run/a b.png")
    assert values["save"] == ["label", "overlay", "figure"]
    assert parsed("compare_networks", *compare[3:]).networks == [f"this={run / 'checkpoints' / 'last.ckpt'}"]
    assert parsed("plot_curves", *curves[3:]).folders == [run]
