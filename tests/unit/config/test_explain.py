"""What Hydra refuses is one sentence with the nearest name, or with the file and its line."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hrda_lit.api import train
from hrda_lit.train import main

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lamda_d=0.2"], "unknown key lamda_d; did you mean lambda_d?"),
        (["experiment=hrda_demo", "lr=0.1"], "unknown key lr; did you mean optim.lr?"),
        (["trainer.max_step=3"], "unknown key trainer.max_step; did you mean trainer.max_steps?"),
        (["optim.learning_rate=1"], "unknown key optim.learning_rate; did you mean optim.lr?"),
        (["gradient_clip_val=1"], "unknown key gradient_clip_val; did you mean optim.clip?"),
        (["trainer.gradient_clip_val=1"], "trainer.gradient_clip_val=1: not allowed here; gradients are clipped once"),
        (["wandb=true"], "unknown key wandb; did you mean logger=wandb?"),
        (["netwrok.backbone.name=x"], "unknown key netwrok.backbone.name; did you mean network.backbone.name?"),
        (["-m", "lambda_dd=0,1"], "unknown key lambda_dd; did you mean lambda_d?"),
        (["~nothing"], "unknown key nothing; see --help for those there are."),
        (["experiment=hrda_dmo"], "experiment=hrda_dmo: unknown choice; did you mean hrda_demo? experiment has "),
        (["+seed=3"], "seed exists already; remove the +."),
        (["seed=0,1"], "seed=0,1: several values; sweep over them with -m, or put a list into brackets."),
        (["dataset@source=4"], "dataset@source=4: Config group override must be a string or a list."),
        (["hydra.verbose={a: 1}"], "++hydra.verbose={a: 1}: "),
        (["hydra.verbose=[1]"], "hydra.verbose=[1]: A logger name must be a string; correct it."),
        (["hydra.run.dir=null"], "hydra.run.dir=null: field 'hydra.run.dir' is not Optional; correct it."),
        (["hydra.run.dir="], "hydra.run.dir is empty; name a folder, or remove it."),
        (["hydra.job_logging.root.level=x"], "hydra.job_logging.root.level=x: Unknown level: 'x'; correct it."),
        (["hydra.job_logging.root.handlers=3"], "hydra.job_logging.root.handlers=3: 'int' object is not iterable"),
        (["hydra.searchpath=[nowhere]"], "provider=hydra.searchpath in command-line, path=nowhere is not available"),
        (["-m", "hydra.sweeper=null", "seed=0,1"], "hydra.sweeper=null: Hydra sweeper is not configured; correct it."),
        (["-m", "hydra.launcher=null", "seed=0,1"], "hydra.launcher=null: Hydra launcher is not configured"),
        (["+hydra.callbacks.mine={_target_: builtins.dict}"], "+hydra.callbacks.mine={_target_: builtins.dict}: "),
        (["x" * 3000 + "=null"], "[Errno 36] File name too long"),
        (["data={}"], "missing key data.cat_max_ratio; set data.cat_max_ratio=... ."),
        (["name=${nowhere}"], "Interpolation key 'nowhere' not found full_key: name"),
    ],
)
def test_sentences(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hrda_lit.train", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1
    assert "-m" in arguments or not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'data_root: "C:\\data"\n', "line 2: found unknown escape character 'd'; put a path with backslashes into"),
        (b"data:\n\tcrop: [64, 64]\n", "line 3: found character '\\t' that cannot start any token; indent with spaces"),
        (b"data: {crop: [64, 64}\n", "line 2: expected ',' or ']', but got '}'; correct that line."),
        (b"tau: 0.9\ntau: 0.8\n", "line 3: found duplicate key"),
        (b"- tau\n", "Cannot merge DictConfig with ListConfig"),
        (b"name: caf\xe9\n", "cannot be read: 'utf-8' codec"),
        (b"\x00\x01\n", "cannot be read: unacceptable character"),
        (b"name: ${\n", "cannot be read: no viable alternative at input '${' full_key: name"),
        (b"data: {&top: 0}\n", "cannot be read: Incompatible key type 'NoneType' full_key: data"),
    ],
)
def test_broken_files_are_named(
    text: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_bytes(b"# @package _global_\n" + text)
    monkeypatch.setattr(sys, "argv", ["hrda_lit.train", "--config-dir", str(tmp_path), "experiment=mine"])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert said.startswith((f"error: {file}", "error: In 'experiment/mine'"))
    assert sentence in said
    assert said.count("\n") == 1
    with pytest.raises(ValueError, match="mine"):
        train("experiment=mine", config_dir=tmp_path)
