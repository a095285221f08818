"""Data are looked over before a model is built, and nobody needs labels of the target."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from PIL import Image

from hrda_lit import Predictor, build
from hrda_lit.evaluate import evaluate
from hrda_lit.inspect import inspect
from hrda_lit.train import train

from .compose import smoke


@pytest.fixture
def data(tmp_path: Path, demo_root: Path) -> Path:
    """Copy the demo domains, to be spoiled."""
    root = tmp_path / "data"
    shutil.copytree(demo_root, root)
    return root


def test_inspect_shows_what_there_is(tmp_path: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(smoke(tmp_path, demo_root, "hrda_demo"))
    said = capsys.readouterr().out
    assert said.endswith("training can start\n")
    assert "warning: demo_source (source, train) has 6 images only." in said
    assert "256 x 512 (6)" in said
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert (pixels == (128, 64, 128)).all(-1).sum() > 1000  # roads
    shares = (tmp_path / "data.txt").read_text()
    raw = [np.asarray(Image.open(path)) for path in sorted((demo_root / "gta/labels").iterdir())]
    known = sum(int(np.isin(label, [7, 8, *range(11, 14), 17, *range(19, 29), 31, 32, 33]).sum()) for label in raw)
    road = 100 * sum(int((label == 7).sum()) for label in raw) / known
    assert any("road" in line and f"{road:.2f}" in line for line in shares.splitlines())


def test_training_and_inspection_refuse_the_same(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    label = next((data / "cityscapes/gtFine/val").rglob("*.png"))
    label.write_bytes(label.read_bytes()[:-5])
    config = smoke(tmp_path, data, "hrda_demo")
    assert not inspect(config)
    said = capsys.readouterr().out
    assert f"error: {label} is broken" in said
    assert said.endswith("training cannot start\n")
    monkeypatch.setattr(build, "build_module", lambda *_: pytest.fail("built a model"))
    with pytest.raises(ValueError, match=r"is broken .*of the 2 images of demo_target \(val, val\), 1 cannot be used"):
        train(config)


def test_inspect_refuses_a_crop_as_training_does(
    tmp_path: Path, demo_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not inspect(smoke(tmp_path, demo_root, "hrda_demo", "data.crop=[130,128]"))
    said = capsys.readouterr().out
    assert "nearest crop that fits is data.crop=[128,128]" in said.replace("\n", "")
    assert said.endswith("training cannot start\n")


def test_broken_images_are_left_out_of_training(tmp_path: Path, data: Path) -> None:
    for path in (data / "gta/images/00001.png", data / "gta/labels/00002.png"):
        path.write_bytes(path.read_bytes()[:1000])
    (data / "gta/labels/00003.png").unlink()
    assert train(smoke(tmp_path, data, "source_only_demo", "data.skip_broken=true")) >= 0


def test_the_feature_distance_needs_things(tmp_path: Path, demo_root: Path) -> None:
    classes = [
        f"{role}.{key}" for role in ("source", "target", "val") for key in ("classes={names:[a,b]}", "id_map=null")
    ]
    overrides = ["lambda_fd=0.1", *classes]
    with pytest.raises(ValueError, match=r"classes\.things of the source is empty; name some, or set lambda_fd=0"):
        train(smoke(tmp_path, demo_root, "hrda_demo", *overrides))


def test_training_without_a_validation_set(tmp_path: Path, data: Path, recwarn: pytest.WarningsRecorder) -> None:
    shutil.rmtree(data / "cityscapes/gtFine")
    score = train(smoke(tmp_path / "run", data, "hrda_demo", "val=null"))
    assert not [one for one in recwarn if "best.ckpt" in str(one.message)]  # none was asked for
    assert math.isnan(score)
    scores = json.loads((tmp_path / "run/metrics.json").read_text())
    assert {"name": "hrda_demo", "step": 2}.items() <= scores.items()
    assert "val/miou" not in scores
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    picture = next((data / "cityscapes/leftImg8bit/val").rglob("*.png"))
    assert Predictor(checkpoint)(picture).label.shape == (256, 512)
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        fixed = [f"checkpoint={checkpoint}", f"run_dir={tmp_path}/scores", f"cache_dir={tmp_path}/cache"]
        config = hydra_compose("evaluate", fixed)
    with pytest.raises(ValueError, match=r"trained without a validation set; name one, e\.g\. dataset@val=cityscapes"):
        evaluate(config)
