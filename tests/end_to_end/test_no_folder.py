"""A command that is refused leaves no folder behind, and nothing of an earlier run is written over."""

from pathlib import Path

import pytest

from hrda_lit.system.files import write_atomically
from tests.commands import run

REFUSED = {
    "a key": ["hrda_lit.train", "experiment=hrda_demo", "lambda_f=1"],
    "a value": ["hrda_lit.train", "experiment=hrda_demo", "lambda_d=2"],
    "a folder": ["hrda_lit.train", "experiment=hrda_demo", "lambda_d=2", "hydra.run.dir=my/own"],
    "data": ["hrda_lit.train", "experiment=hrda_gta", "data_root=/nowhere"],
    "the look at data": ["hrda_lit.train", "data_check.most_ignored=0", "debug=smoke"],
    "a checkpoint to resume": ["hrda_lit.train", "resume=/x.ckpt", "debug=smoke"],
    "data of inspect": ["hrda_lit.inspect", "experiment=hrda_gta", "data_root=/nowhere"],
    "a checkpoint": ["hrda_lit.evaluate", "checkpoint=latest"],
    "pictures": ["hrda_lit.predict", "checkpoint=latest", "input=x.png"],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_nothing_is_left(what: str, tmp_path: Path, demo_root: Path) -> None:
    command, here = REFUSED[what], tmp_path / "here"
    here.mkdir()
    if "debug=smoke" in command:
        command = [*command, "experiment=hrda_demo", "prepare_data=null", f"data_root={demo_root}"]
    if command[0] != "hrda_lit.predict":
        command = [*command, f"cache_dir={tmp_path}/cache"]
    done = run(*command, cwd=here)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert list(here.iterdir()) == []


@pytest.mark.slow
def test_what_an_earlier_run_left_is_kept(tmp_path: Path, demo_root: Path) -> None:
    places = ["prepare_data=null", f"data_root={demo_root}", f"cache_dir={tmp_path}/cache", "hydra.run.dir=run"]
    train = ["hrda_lit.train", "experiment=hrda_demo", "debug=smoke", "callbacks.pictures=null", *places]
    assert run(*train, cwd=tmp_path).returncode == 0
    before = files(tmp_path / "run")
    assert tmp_path / "run" / ".hydra" / "config.yaml" in before
    assert b"step 2/2" in before[tmp_path / "run" / "train.log"]
    for change in (["seed=1"], ["s_T=1", "resume=auto"], ["lambda_d=2", "resume=auto"]):
        assert run(*train, *change, cwd=tmp_path).returncode == 1
    assert before == files(tmp_path / "run")


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.slow
def test_an_evaluation_leaves_a_training_as_it_is(tmp_path: Path) -> None:
    for name in ("metrics.csv", "metrics.json", "checkpoints/last.ckpt"):
        write_atomically(tmp_path / "run" / name, name.encode())
    before = files(tmp_path / "run")
    done = run("hrda_lit.evaluate", "checkpoint=run", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/run is the folder of a training, whose metrics would be replaced")
    assert before == files(tmp_path / "run")
