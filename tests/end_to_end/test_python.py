"""The commands from Python: docs/python.md as one notebook, and what a notebook may expect of a library."""

import logging
import math
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra

import hrda_lit
from hrda_lit import api
from hrda_lit.api import train
from hrda_lit.checkpoints.load import load_trained, network_state, read_checkpoint
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.module import UDAModule
from tests.commands import ROOT
from tests.unit.test_layers import imports

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> dict[str, Any]:
    """What docs/python.md leaves in a notebook, run on the tiny demo domains."""
    cells = BLOCK.findall((ROOT / "docs/python.md").read_text())
    names: dict[str, Any] = {}
    _run = api._run

    def on_tiny_data(command: str, overrides: tuple[str, ...], *rest: Any) -> Any:
        small = [f"data_root={demo_root}", "prepare_data=null"] if command == "train" else []
        return _run(command, [*overrides, *small], *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        patch.syspath_prepend(str(Path.cwd()))
        patch.setenv("HRDA_LIT_TRUST", "")
        patch.setenv("HRDA_LIT_CACHE", str(Path.cwd() / "cache"))
        patch.setattr(api, "_run", on_tiny_data)
        for cell in cells:
            if file := re.match(r"# (\w+\.py)\n", cell):
                Path(file[1]).write_text(cell)
            else:
                exec(compile(cell, "docs/python.md", "exec"), names)
        yield names  # type: ignore[misc]


def test_the_page_runs(notebook: dict[str, Any]) -> None:
    assert Path("overlay.png").is_file()
    assert notebook["logits"].shape[1] == 19


def test_a_method_of_ones_own(notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    mine = notebook["mine"]
    assert "train/loss/max_squares" in (mine.folder / "metrics.csv").read_text().splitlines()[0]
    assert type(hrda_lit.load_module(mine.checkpoint).method).__name__ == "MaxSquares"
    monkeypatch.delenv("HRDA_LIT_TRUST")
    with pytest.raises(ValueError, match=r"would build 'my_method.MaxSquares' as method, which is no part"):
        hrda_lit.load(mine.checkpoint)


def test_what_a_training_returns(notebook: dict[str, Any]) -> None:
    run = notebook["run"]
    there = [value for value in run.iou.values() if not math.isnan(value)]
    assert run.miou == pytest.approx(sum(there) / len(there))
    assert len(run.iou) == 19
    assert run.metrics["step"] == 2
    assert load_trained(run.checkpoint).config.lambda_d == 0.3
    assert (run.folder / ".hydra" / "overrides.yaml").read_text().startswith("- experiment=hrda_demo")
    assert notebook["scores"].checkpoint == run.checkpoint


def test_a_module_from_its_checkpoint_alone(notebook: dict[str, Any]) -> None:
    path = notebook["run"].checkpoint
    module, state = UDAModule.load_from_checkpoint(path), read_checkpoint(path)["state_dict"]
    for name in ("student", "teacher"):
        network = getattr(module, name).state_dict()
        for key, value in network_state(state, name).items():
            assert torch.equal(network[key], value), f"{name}.{key}"
    assert isinstance(module.method, SelfTraining)
    assert module.evaluated is module.teacher
    assert module.config["lambda_d"] == 0.3


def test_resuming_from_python(notebook: dict[str, Any]) -> None:
    run = notebook["run"]
    again = api.train("experiment=hrda_demo", "debug=smoke", "lambda_d=0.3", f"resume={run.checkpoint}",
                      "trainer.max_steps=3", "trainer.val_check_interval=1")  # fmt: skip
    assert again.metrics["step"] == 3
    assert again.folder != run.folder


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("experiment=hrda_dem", "experiment=hrda_dem: unknown choice; did you mean hrda_demo"),
        ("lambda_e=1", "unknown key lambda_e; did you mean lambda_d"),
        ("name=../x", "name is '../x', which leaves its folder"),
        ("tau=2", "tau=2: expected"),
        ("name=[a", "cannot be read; close its brackets"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    override: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        train(override)


def test_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m [1]" / "experiment").mkdir(parents=True)
    (tmp_path / "m [1]" / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\ntau: 2\n")
    with pytest.raises(ValueError, match=r"tau=.* expected"):
        train("experiment=mine", config_dir="m [1]")
    with pytest.raises(FileNotFoundError, match="no folder at"):
        train("experiment=mine", config_dir="nowhere")


def test_logging_and_hydra_are_left_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        before = logging.root.handlers[:], logging.root.level, GlobalHydra.instance().hydra
        with pytest.raises(ValueError):
            train("tau=2")
        assert (logging.root.handlers[:], logging.root.level, GlobalHydra.instance().hydra) == before


def test_what_the_package_gives() -> None:
    assert {"load", "load_module", "Predictor"} <= set(dir(hrda_lit))
    assert not callable(sys.modules["hrda_lit.train"])


def test_the_import_is_light() -> None:
    """What is imported with the package, and with the modules of its commands, and with these in turn."""
    waiting, seen = (
        ["hrda_lit", *(f"hrda_lit.{name}" for name in ("api", "train", "evaluate", "predict", "inspect"))],
        set(),
    )
    while waiting:
        module = waiting.pop()
        seen.add(module)
        if module.startswith("hrda_lit"):
            source = Path(str(find_spec(module).origin)).read_text()  # type: ignore[union-attr]
            waiting += {made.module for made in imports(source) if made.at_import_time} - seen
    assert {"hrda_lit.api", "hydra"} <= seen
    assert not {module.partition(".")[0] for module in seen} & {"torch", "lightning", "timm", "numpy"}
