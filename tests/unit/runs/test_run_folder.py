"""The folder of a run: new, or that of the same command before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.claim import release
from hrda_lit.runs.folder import RunFolder, choose

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HRDA_LIT_RUN_DIR", raising=False)
    yield
    GlobalHydra.instance().clear()


def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", ["experiment=hrda_demo", *overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config


def run(*overrides: str, left: str = "metrics.csv") -> Path:
    """Choose a folder and leave in it what a run does."""
    config = composed(*overrides)
    folder = choose(config)
    path = folder / ".hydra" / "config.yaml"
    if not path.exists():
        path.parent.mkdir()
        plain = OmegaConf.to_container(config, resolve=False)
        assert isinstance(plain, dict)
        path.write_text(OmegaConf.to_yaml({key: value for key, value in plain.items() if key != "hydra"}))
    (folder / left).touch()
    release(folder)
    return folder


def test_a_run_starts_in_a_folder_of_its_own_and_goes_on_where_it_is_asked_to() -> None:
    first, second = run("seed=1"), run("seed=1")
    assert first != second  # also in one second
    assert run("seed=1", "resume=auto", "loading.num_workers=3") == second
    assert run("seed=2", "resume=auto") not in (first, second)
    (second / "metrics.json").touch()
    assert run("seed=1", "resume=auto") == first  # which has no result yet
    (first / "metrics.json").touch()
    assert run("seed=1", "resume=auto") in (first, second)  # complete, and says so


def test_a_damaged_record_is_not_the_run_that_is_looked_for() -> None:
    first = run("seed=1")
    for cut in ("", "{", "[]", "a: ${", "\0"):
        (first / ".hydra" / "config.yaml").write_text(cut)
        assert run("seed=1", "resume=auto") != first


def test_a_folder_of_another_run_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    run("hydra.run.dir=mine")
    before = (tmp_path / "mine" / ".hydra" / "config.yaml").read_text()
    with pytest.raises(ValueError, match="mine holds another run; add resume=auto"):
        RunFolder().on_run_start(composed("hydra.run.dir=mine", "seed=5"))
    assert (tmp_path / "mine" / ".hydra" / "config.yaml").read_text() == before
    assert run("hydra.run.dir=mine", "resume=auto") == Path("mine")


def test_other_processes_of_a_run_follow_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = composed()
    RunFolder().on_run_start(config)
    chosen = Path(config.hydra.run.dir)
    monkeypatch.setenv("LOCAL_RANK", "1")
    other = composed("hydra.run.dir=.")
    RunFolder().on_run_start(other)
    assert Path(other.hydra.run.dir) == chosen.absolute()
    release(chosen)
