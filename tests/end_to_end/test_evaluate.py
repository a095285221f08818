"""A checkpoint alone is enough to score a network, on its own validation set or on others."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from PIL import Image

from hrda_lit.checkpoints.load import load_trained
from hrda_lit.data.classes import CITYSCAPES, ID_MAPS
from hrda_lit.evaluate import _nodes, evaluate
from hrda_lit.train import train
from tests import commands

from .compose import smoke


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    """Train for two steps and return the folder of the run."""
    folder = tmp_path_factory.mktemp("trained")
    train(smoke(folder, demo_root, "hrda_demo", "val.size=[256,512]", "callbacks.pictures.count=0"))
    return folder


def run(folder: Path, trained: Path, *overrides: str) -> dict[str, Any]:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        checkpoint = f"checkpoint={trained}/checkpoints/last.ckpt"
        config = compose("evaluate", [checkpoint, f"run_dir={folder}", "workers=0", "device=cpu", *overrides])
    evaluate(config)
    result: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return result


def test_scores_are_those_of_the_validation(trained: Path, tmp_path: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())
    result = run(tmp_path, trained)
    assert result["val/iou"] == before["val/iou"]
    assert result["val/miou"] == before["val/miou"]
    assert result["images"] == {"val": 2}
    assert result["name"] == "hrda_demo, teacher, on demo_target"
    assert set(result["datasets"]["val"]) == {"fused", "context", "detail"}
    assert result["datasets"]["val"]["fused"]["iou"] == before["val/iou"]
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["prediction"], row["measure"]) == ("fused", "iou")]
    assert {row["name"]: float(row["value"]) if row["value"] else None for row in rows} == before["val/iou"]
    assert "mIoU 1-2 px from a border" in (tmp_path / "report.txt").read_text()


@pytest.mark.parametrize(
    ("root", "moved"),
    [("/old/data/x", "/new/x"), ("/old/data", "/new"), ("/old/data2/x", "/old/data2/x"), ("/else/x", "/else/x")],
)
def test_what_lay_below_the_data_root_of_the_training_is_found_below_the_new_one(root: str, moved: str) -> None:
    config = OmegaConf.create({"data_root": "/new", "val": None, "datasets": {}})
    stored = OmegaConf.create({"data_root": "/old/data", "val": {"root": root}})
    [node] = _nodes(config, SimpleNamespace(config=stored)).values()  # type: ignore[arg-type]
    assert node.root == moved


def test_a_low_resolution_network_gets_its_shrunk_images(tmp_path: Path, demo_root: Path) -> None:
    train(smoke(tmp_path, demo_root, "daformer_demo", "callbacks.pictures.count=0"))
    before = json.loads((tmp_path / "metrics.json").read_text())
    result = run(tmp_path / "scores", tmp_path)
    assert result["val/iou"] == before["val/iou"]
    assert set(result["datasets"]["val"]) == {"fused"}


def test_teacher_by_counting_pixels(trained: Path, tmp_path: Path, demo_root: Path) -> None:
    # Demo scenes are 256 x 512 already, so nothing need be resized here.
    result = run(tmp_path, trained, "model=teacher", "views=false")
    model = load_trained(trained / "checkpoints" / "last.ckpt", "teacher")
    both, either = np.zeros(19), np.zeros(19)
    for path in sorted(demo_root.glob("cityscapes/leftImg8bit/val/*/*.png")):
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].float()
        mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
        with torch.no_grad():
            logits = model.inference(model.network, (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1))
        prediction = logits.argmax(1)[0].numpy()
        raw = np.array(Image.open(str(path).replace("leftImg8bit", "gtFine").replace(".png", "_labelIds.png")))
        label = np.vectorize(lambda value: ID_MAPS["cityscapes"].get(value, 255))(raw)
        for c in range(19):
            both[c] += ((label == c) & (prediction == c)).sum()
            either[c] += (((label == c) | (prediction == c)) & (label != 255)).sum()
    expected = {name: b / e if e else None for name, b, e in zip(CITYSCAPES.names, both, either, strict=True)}
    assert {k: v and pytest.approx(v, rel=1e-9) for k, v in expected.items()} == result["val/iou"]


def test_several_data_sets_in_one_call(trained: Path, tmp_path: Path, demo_root: Path) -> None:
    gta = ("+dataset@datasets.source=gta5", "datasets.source.size=[128,256]", "+splits.source=train")
    val = ("dataset@val=cityscapes", "val.size=[256,512]", f"data_root={demo_root}")
    both = run(tmp_path / "both", trained, *val, *gta, "inference=whole", "views=false")
    assert both["images"] == {"val": 2, "source": 6}
    first, second = (both["datasets"][key]["fused"] for key in ("val", "source"))
    assert both["mean"]["miou"]["mIoU"] == pytest.approx((first["miou"]["mIoU"] + second["miou"]["mIoU"]) / 2)
    lines = (tmp_path / "both" / "report.txt").read_text().splitlines()
    assert any(line.split() == ["┃", "class", "┃", "cityscapes", "┃", "gta5", "┃", "mean", "┃"] for line in lines)
    alone = run(tmp_path / "alone", trained, *gta, f"data_root={demo_root}", "inference=whole", "views=false")
    assert alone["images"] == {"source": 6}
    assert "mean" not in alone
    assert alone["datasets"]["source"] == both["datasets"]["source"]
    assert both["datasets"]["val"]["fused"]["iou"] == both["val/iou"] != alone["val/iou"]


@pytest.fixture(scope="module")
def usual(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("usual"), trained, "views=false")


@pytest.mark.parametrize(
    "overrides",
    [
        ("inference=whole",),
        ("inference=slide", "inference.window=[128,192]", "inference.stride=[64,64]", "inference.batch=3"),
        ("inference=tta", "inference.scales=[0.5,1]", "inference@inference.base=whole", "inference.average=logits"),
        ("inference=tta", "inference.scales=[1]", "inference@inference.base=slide", "inference.base.batch=4"),
    ],
)
def test_other_ways_to_predict(
    trained: Path, usual: dict[str, Any], tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    other = run(tmp_path, trained, "views=false", *overrides)
    assert other["val/iou"] != usual["val/iou"]
    assert other["val/miou"] == pytest.approx(usual["val/miou"], abs=0.1)


def test_data_that_moved_are_found_by_data_root(trained: Path, tmp_path: Path, demo_root: Path) -> None:
    shutil.copytree(demo_root / "cityscapes", tmp_path / "moved" / "cityscapes")
    (tmp_path / "moved" / "cityscapes" / "leftImg8bit" / "val").rename(tmp_path / "aside")
    with pytest.raises(FileNotFoundError, match=f"no file fits {tmp_path}/moved/cityscapes/leftImg8bit/val"):
        run(tmp_path / "run", trained, f"data_root={tmp_path}/moved")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("checkpoint=/nowhere.ckpt",), "no checkpoint at /nowhere.ckpt"),
        (("checkpoint={demo}/demo.json",), "demo.json cannot be read"),
        (("model=both",), "model=both: expected student or teacher"),
        (("device=gpu",), r"device=gpu is not there, this machine has \['auto', 'cpu'"),
        (("device=cuda:99",), r"device=cuda:99 is not there"),
        (("+splits.vall=val",), r"splits has the keys \['vall'\].*may have \['val'\]"),
        (("dataset@val=cityscapes", "data_root=/nowhere"), "/nowhere/cityscapes is not a folder"),
        (("dataset@val=folder",), "missing key val.classes; set val.classes"),
        (("inference=slide", "inference.batch=0"), "inference.batch=0: expected"),
        (("inference=whole", "+inference.batch=2"), "unknown key inference.batch"),
        (
            ("dataset@val=folder", "val.root={demo}", "val.classes={{names:[a,b]}}"),
            r"last.ckpt knows the classes \['road'.* and folder has \['a', 'b'\], need the same",
        ),
    ],
)
def test_what_a_user_can_get_wrong_is_one_sentence(
    overrides: tuple[str, ...], sentence: str, trained: Path, tmp_path: Path, demo_root: Path
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        run(tmp_path, trained, *(override.format(demo=demo_root) for override in overrides))
    assert "\n" not in str(caught.value)


def test_command(trained: Path, tmp_path: Path, demo_root: Path) -> None:
    arguments = [f"checkpoint={trained}/checkpoints/last.ckpt", "dataset@val=cityscapes", f"data_root={demo_root}"]
    done = commands.run("hrda_lit.evaluate", *arguments, "val.size=[256,512]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "traffic light" in done.stdout
    [report] = tmp_path.glob("outputs/evaluate/*/report.txt")
    assert "mIoU 16" in report.read_text()
    assert {path.name for path in report.parent.iterdir()} >= {"metrics.json", "metrics.csv"}


def test_command_names_a_broken_image_in_one_sentence(trained: Path, tmp_path: Path, demo_root: Path) -> None:
    shutil.copytree(demo_root, tmp_path / "data")
    for image in tmp_path.glob("data/cityscapes/leftImg8bit/val/*/*.png"):
        image.write_bytes(image.read_bytes()[:2000])
    arguments = [f"checkpoint={trained}/checkpoints/last.ckpt", f"data_root={tmp_path}/data"]
    done = commands.run("hrda_lit.evaluate", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/data/cityscapes/leftImg8bit/val/")
    assert len(done.stderr.strip().splitlines()) == 1


def test_results_are_written_before_they_are_printed(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_terminal(*_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("hrda_lit.tables.scores.show", break_terminal)
    with pytest.raises(BrokenPipeError):
        run(tmp_path, trained, "inference=whole")
    assert {"metrics.json", "metrics.csv", "report.txt"} <= {path.name for path in tmp_path.iterdir()}
