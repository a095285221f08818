"""A checkpoint is a file, a folder of a run, or the newest one."""

import os
from pathlib import Path

import pytest

from hrda_lit.checkpoints.load import read_checkpoint
from hrda_lit.checkpoints.locate import locate, locate_here


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make runs of three experiments, the last of them in a sweep; the evaluation is newer and has no checkpoint."""
    monkeypatch.chdir(tmp_path)
    names = ["outputs/hrda/1", "outputs/hrda/2", "outputs/mine/deep/1", "outputs/evaluate/1", "multirun/night/0"]
    for age, name in enumerate(names):
        path = tmp_path / name / ("metrics.json" if "evaluate" in name else "checkpoints/last.ckpt")
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (age, age))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("latest", "multirun/night/0/checkpoints/last.ckpt"),
        ("latest:hrda", "outputs/hrda/2/checkpoints/last.ckpt"),
        ("latest/hrda", "outputs/hrda/2/checkpoints/last.ckpt"),
        ("latest:mine/deep", "outputs/mine/deep/1/checkpoints/last.ckpt"),
        ("outputs/hrda/1", "outputs/hrda/1/checkpoints/last.ckpt"),
        ("outputs/hrda/1/checkpoints", "outputs/hrda/1/checkpoints/last.ckpt"),
        ("elsewhere.ckpt", "elsewhere.ckpt"),
    ],
)
def test_where_it_lies(given: str, found: str, runs: Path) -> None:
    assert locate(given) == Path(found)
    assert locate_here(given) == found


def test_a_file_of_that_name_goes_first(runs: Path) -> None:
    Path("latest").touch()
    assert locate("latest") == Path("latest")


def test_an_experiment_without_a_run_is_named_with_those_that_have_one(runs: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run of daformer .* hrda, mine/deep"):
        locate("latest:daformer")
    with pytest.raises(ValueError, match="leaves its folder"):
        locate("latest:../x")


def test_without_any_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="outputs or multirun"):
        locate("latest")


@pytest.mark.parametrize("given", ["", " "])
def test_an_empty_name_is_not_the_folder_one_stands_in(given: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("outputs/hrda/1")
    assert locate(".") == Path("checkpoints/last.ckpt")
    with pytest.raises(ValueError, match="is empty; give a file"):
        locate(given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("outputs", r"outputs has no config\.yaml; .* outputs/(hrda|mine/deep)/\d is one\."),
        ("multirun/night", r"night has no config\.yaml; .* multirun/night/0 is one\."),
        ("outputs/evaluate/1", r"with checkpoints/last\.ckpt inside\.$"),
        ("net.onnx", r"net\.onnx is not a checkpoint of hrda_lit, it is a \.onnx file"),
        ("model.safetensors", r"is not a checkpoint of hrda_lit, it is a \.safetensors file"),
        ("outputs/*/1", r"no checkpoint at outputs/\*/1"),
        ("pipe", "no checkpoint at pipe"),
        ("dangling.ckpt", "no checkpoint at dangling.ckpt"),
        ("https://host/last.ckpt", "no checkpoint at https:/host/last.ckpt"),
    ],
)
def test_what_is_no_checkpoint_is_named(given: str, sentence: str, runs: Path) -> None:
    for name in ("net.onnx", "model.safetensors"):
        Path(name).write_bytes(b"x")
    os.mkfifo("pipe")
    Path("dangling.ckpt").symlink_to("nowhere")
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        read_checkpoint(given)


def test_the_weights_of_a_hubs_folder_mean_the_folder(runs: Path) -> None:
    for name in ("config.yaml", "model.safetensors"):
        Path(name).touch()
    assert locate("model.safetensors") == Path()


def test_a_name_on_the_hub_stays() -> None:
    assert locate_here("hf://user/name@v1") == "hf://user/name@v1"
    with pytest.raises(ValueError, match="not a name on the hub"):
        locate("hf://name")
