"""What a checkpoint names is not run, whichever command reads it."""

import copy
import functools
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from hrda_lit import Predictor
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.evaluate import evaluate
from hrda_lit.exchange.convert import checkpoint_to_official
from hrda_lit.exchange.export import export
from hrda_lit.module import CONFIG_KEY
from hrda_lit.predict import predict
from tests.commands import run
from tests.scripts import SCRIPTS
from tests.trained import write_checkpoint


@functools.cache
def composed(command: str) -> DictConfig:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        return compose(command, ["device=cpu"])


def with_places(command: str, **places: Path) -> Any:
    return OmegaConf.merge(composed(command), {key: str(path) for key, path in places.items()})


def by_evaluate(checkpoint: Path, folder: Path) -> None:
    evaluate(with_places("evaluate", checkpoint=checkpoint, run_dir=folder))


def by_predict(checkpoint: Path, folder: Path) -> None:
    picture = next((folder.parent / "demo").rglob("*_leftImg8bit.png"))
    predict(with_places("predict", checkpoint=checkpoint, input=picture, output=folder))


COMMANDS: dict[str, Callable[[Path, Path], Any]] = {
    "evaluate": by_evaluate,
    "predict": by_predict,
    "convert": lambda checkpoint, folder: checkpoint_to_official(checkpoint, folder / "x.pth"),
    "export": lambda checkpoint, folder: export(checkpoint, folder / "x.pt2"),
    "notebook": lambda checkpoint, _: Predictor(checkpoint),
}
PLACES = [
    "source",
    "val",
    "source.layout",
    "source.id_map",
    "source.classes",
    "network.head",
    "network.attention",
    "network.detail.overlap",
    "network.backbone",
    "network.backbone.options.act_layer",
    "inference",
    "inference.window",
    "method",
    "data.crop",
    "name",
    "prepare_data",
    "callbacks.mine",
]


def attacks(mark: Path) -> dict[str, dict[str, Any]]:
    """Return nodes that leave a mark, where anybody builds them."""
    return {
        "makedirs": {"_target_": "os.makedirs", "name": str(mark)},
        "write_text": {
            "_target_": "pathlib.Path.write_text",
            "self": {"_target_": "pathlib.Path", "_args_": [str(mark)]},
            "data": "x",
        },
        "open": {"_target_": "builtins.open", "file": str(mark), "mode": "w", "_partial_": False},
        "copyfile": {"_target_": "shutil.copyfile", "src": __file__, "dst": str(mark)},
        "hub": {"_target_": "torch.hub.load", "repo_or_dir": str(mark), "model": "x", "source": "local"},
        "load": {"_target_": "torch.load", "f": str(mark), "weights_only": False},
        "demo": {"_target_": "hrda_lit.demo.render_demo", "root": str(mark)},
        "logger": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(mark)},
        "list": [{"_target_": "os.makedirs", "name": str(mark)}],  # type: ignore[dict-item]
        "nested": {"a": {"b": [{"_target_": "os.makedirs", "name": str(mark)}]}},
    }


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("good") / "good.ckpt", "hrda_demo")


@pytest.fixture
def folder(tmp_path: Path, demo_root: Path) -> Path:
    (tmp_path / "demo").symlink_to(demo_root)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def planted(good: Path, path: Path, place: str, node: Any) -> Path:
    content = torch.load(good, weights_only=True, mmap=True)
    config = copy.deepcopy(content[CONFIG_KEY])
    *way, last = place.split(".")
    inner = config
    for key in way:
        inner = inner[key]
    inner[last] = node
    # Of one weight alone, since all of this is to be refused before weights matter.
    state = dict(list(content["state_dict"].items())[:1])
    torch.save({"state_dict": state, CONFIG_KEY: config}, path)
    return path


TRAININGS_OWN = {(place, name) for place in ("prepare_data", "callbacks.mine") for name in ("demo", "logger")}


def assert_refused(command: str, bad: Path, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^the config in \S+bad\.ckpt (would build|has the key '_args_')") as caught:
        COMMANDS[command](bad, folder)
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["bad.ckpt"]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_runs(place: str, good: Path, folder: Path) -> None:
    for name, node in attacks(folder / "mark").items():
        if (place, name) not in TRAININGS_OWN:  # which nothing builds from a file
            assert_refused("notebook", planted(good, folder / "bad.ckpt", place, node), folder)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", attacks(Path()))
def test_no_command_runs_it(command: str, name: str, good: Path, folder: Path) -> None:
    node = attacks(folder / "mark")[name]
    for place in ("source", "network.head", "inference", "source.layout"):
        assert_refused(command, planted(good, folder / "bad.ckpt", place, node), folder)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("checkpoint_path", "/etc/passwd"),
        ("pretrained", True),
        ("pretrained_cfg", {"hf_hub_id": "a/b"}),
        ("pretrained_cfg_overlay", {"file": "/etc/passwd"}),
        ("cache_dir", "/tmp"),
        ("features_only", False),
        ("feature_cls", "fx"),
    ],
)
def test_an_encoder_reads_no_file_of_a_checkpoints_choice(option: str, value: object, good: Path, folder: Path) -> None:
    bad = planted(good, folder / "bad.ckpt", f"network.backbone.options.{option}", value)
    content = torch.load(good, weights_only=True)
    config = torch.load(bad, weights_only=True)[CONFIG_KEY]
    torch.save({**content, CONFIG_KEY: config}, bad)
    with pytest.raises(ValueError, match=rf"options has \['{option}'\]"):
        load_trained(bad)


@pytest.mark.parametrize(
    "name", ["hf-hub:a/b", "local-dir:/etc", "hf_hub:a/b", "resnet50.local-dir:/x", "/etc/resnet50"]
)
def test_an_encoder_is_one_that_timm_knows(name: str, good: Path, folder: Path) -> None:
    bad = planted(good, folder / "bad.ckpt", "network.backbone.name", name)
    content = {**torch.load(good, weights_only=True), CONFIG_KEY: torch.load(bad, weights_only=True)[CONFIG_KEY]}
    torch.save(content, bad)
    with pytest.raises(ValueError, match="timm knows no model"):
        load_trained(bad)


def test_paths_of_the_training_are_not_looked_at(good: Path, folder: Path) -> None:
    content = torch.load(good, weights_only=True)
    for weights in ("imagenet", "/nowhere/x.pth"):
        content[CONFIG_KEY]["network"]["backbone"]["weights"] = weights
        torch.save(content, folder / "x.ckpt")
        assert load_trained(folder / "x.ckpt").config.network.backbone.weights is None


@pytest.mark.parametrize("script", ["convert_checkpoint", "export_onnx", "target_batchnorm", "pseudo_labels"])
def test_scripts_say_it_in_one_sentence(
    script: str, good: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = planted(good, folder / "bad.ckpt", "inference", {"_target_": "os.makedirs", "name": str(folder / "mark")})
    first = ["to-official"] if script == "convert_checkpoint" else []
    last = [] if script == "pseudo_labels" else [folder / "x.pt2"]
    # In this process, because a new one would load torch for seconds.
    path = str(SCRIPTS / f"{script}.py")
    monkeypatch.setattr(sys, "argv", [path, *map(str, [*first, bad, *last])])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(path, run_name="__main__")
    assert caught.value.code in (1, 2)
    assert "error: the config in" in capsys.readouterr().err.strip().splitlines()[-1]
    assert [path.name for path in folder.iterdir()] == ["bad.ckpt"]


def test_the_command_ends_with_1_and_one_sentence(good: Path, folder: Path) -> None:
    bad = planted(good, folder / "bad.ckpt", "inference", {"_target_": "os.makedirs", "name": str(folder / "mark")})
    done = run("hrda_lit.evaluate", f"checkpoint={bad}", f"run_dir={folder}", "device=cpu", cwd=folder.parent)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the config in {bad} would build 'os.makedirs' as inference")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "mark").exists()


@pytest.mark.parametrize("name", ["../../escaped", "/abs", "''"])
def test_a_run_does_not_leave_its_folder(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    done = run("hrda_lit.train", "experiment=hrda_demo", f"name={name}", cwd=inside)
    assert done.returncode == 1
    assert done.stderr.startswith("error: name is ")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]
