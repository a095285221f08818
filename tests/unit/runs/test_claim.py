"""A folder belongs to one process, and to one run."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hrda_lit.runs.claim import (
    claim,
    claim_new,
    holds_claim,
    is_timed,
    release,
    release_all,
    resume_mode,
    take,
    without,
)

ASK = "import sys; from pathlib import Path; from hrda_lit.runs.claim import *; print({}(Path(sys.argv[1])))"


def elsewhere(folder: Path, question: str) -> str:
    """What another process gets when it asks to `claim` a folder, or for a new one of its name."""
    command = [sys.executable, "-c", ASK.format(question), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_second_process_is_kept_out_until_the_first_lets_go(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert claim(folder)
    assert claim(folder)  # once more in the same process changes nothing
    assert elsewhere(folder, "claim") == "False"
    assert elsewhere(folder, "claim_new") == str(tmp_path / "run_2")
    release(folder)
    assert elsewhere(folder, "claim") == "True"


def test_a_new_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    chosen = claim_new(tmp_path / "run")
    assert chosen == tmp_path / "run_2"
    release(chosen)


@pytest.mark.parametrize("left", ["checkpoints/last.ckpt", "metrics.csv", "metrics.json"])
def test_another_run_is_not_written_over(left: str, tmp_path: Path) -> None:
    path = tmp_path / left
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(ValueError, match="holds another run; add resume=auto"):
        take(tmp_path, "never")
    with pytest.raises(ValueError, match="holds another run"):
        take(tmp_path, "/else/where/last.ckpt")
    assert not holds_claim(tmp_path)
    for resume in ("auto", str(tmp_path / "checkpoints" / "last.ckpt")):
        with release_all():
            take(tmp_path, resume)
            assert holds_claim(tmp_path)
        assert not holds_claim(tmp_path)


def test_the_folder_one_stands_in_is_no_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics.csv").touch()
    with pytest.raises(ValueError, match="holds another run"):
        take(Path("."), "never")


def test_only_the_first_process_of_a_run_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics.csv").touch()
    monkeypatch.setenv("LOCAL_RANK", "1")
    take(tmp_path, "never")
    assert not holds_claim(tmp_path)


def test_a_command_is_the_same_however_it_resumes() -> None:
    words = ["-m", "seed=0,1", "resume=auto", "++resume=true", "resumed=1", "hydra.run.dir=a"]
    assert without(words, "resume") == ["-m", "seed=0,1", "resumed=1", "hydra.run.dir=a"]
    assert without(words, "resume", "hydra.run.dir") == ["-m", "seed=0,1", "resumed=1"]


def test_a_job_that_slurm_started_again_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resume_mode("never") == resume_mode(None) == resume_mode(False) == "never"
    assert resume_mode(True) == "auto"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert [resume_mode(resume) for resume in ("never", "auto", "a.ckpt")] == ["auto", "auto", "a.ckpt"]


def test_what_is_named_by_the_time() -> None:
    assert is_timed(OmegaConf.create({"dir": "outputs/${name}/${now:%Y}"}))
    assert not is_timed(OmegaConf.create({"dir": "outputs/mine"}))


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path: Path, dead_process: int) -> None:
    half = tmp_path / "checkpoints" / f".{platform.node()}-{dead_process}-x.part"
    half.parent.mkdir()
    half.write_bytes(b"half")
    assert claim(tmp_path)
    release(tmp_path)
    assert not half.exists()
