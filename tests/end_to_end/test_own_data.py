"""A user's own data and encoder weights are YAML files, not Python."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from hrda_lit.networks.backbone import Backbone
from tests.commands import run

DATASET = """
_target_: hrda_lit.data.folder.FolderDataset
name: {name}
root: {root}
images: images/*.jpg
label_rule: {{images/: labels/, .jpg: .png}}
classes:
  names: [ground, thing, sky]
  colours: [[128, 64, 128], [220, 20, 60], [70, 130, 180]]
  things: [thing]
  ignore: 250
id_map: {{3: 0, 5: 1, 9: 2}}
size: null
layout: {{split_file: "{{split}}.txt"}}
"""
EXPERIMENT = """
# @package _global_
defaults:
  - override /dataset@source: mine_source
  - override /dataset@target: mine_target
  - override /dataset@val: mine_target
name: mine
data: {crop: [96, 128], rare_class: {min_pixels: 10, accept_ratio: 1.0}}
network:
  backbone: {name: resnet10t, weights: WEIGHTS, options: {channels: [8, 8, 16, 16], stem_width: 8}}
  head: {channels: 8}
  attention: {channels: 8}
loading: {num_workers: 0, val_workers: 0}
optim: {warmup: 1}
trainer: {max_steps: 2, val_check_interval: 2, log_every_n_steps: 1, accelerator: cpu}
"""


def write_domain(root: Path, seed: int, labelled: tuple[str, ...]) -> None:
    rng = np.random.default_rng(seed)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for split in ("train", "val"):
        stems = [f"{split}_{number}" for number in range(2)]
        (root / f"{split}.txt").write_text("\n".join(stems))
        for stem in stems:
            raw = rng.choice([3, 5, 9, 77], size=(15, 20)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
            pixels = (raw[..., None] * [20, 10, 25] % 256 + rng.integers(0, 20, (120, 160, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(root / "images" / f"{stem}.jpg")
            if split in labelled:
                Image.fromarray(raw).save(root / "labels" / f"{stem}.png")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    write_domain(tmp_path / "source", 0, ("train",))
    write_domain(tmp_path / "target", 1, ("val",))  # no label for the target's training images
    folder = tmp_path / "configs"
    (folder / "dataset").mkdir(parents=True)
    (folder / "experiment").mkdir()
    for name in ("source", "target"):
        text = DATASET.format(name=name, root=tmp_path / name)
        (folder / "dataset" / f"mine_{name}.yaml").write_text(text)
    weights = tmp_path / "encoder.pth"
    encoder = Backbone("resnet10t", options={"channels": (8, 8, 16, 16), "stem_width": 8})
    torch.save(encoder.model.state_dict(), weights)
    (folder / "experiment" / "mine.yaml").write_text(EXPERIMENT.replace("WEIGHTS", str(weights)))
    return folder


def test_own_folders_train_with_the_feature_distance(configs: Path, tmp_path: Path) -> None:
    places = [f"hydra.run.dir={tmp_path}/run", f"cache_dir={tmp_path}/cache"]
    done = run("hrda_lit.train", "--config-dir", configs, "experiment=mine", *places, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine: source " in done.stdout  # no terminal, so that lines tell how it goes
    assert "step 1/" in done.stdout
    assert "ground" in done.stdout
    assert "thing" in done.stdout
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert "train/loss/feature_distance" in header
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("imagenet" in key for key in state)  # rebuilt from its file, never stored


@pytest.mark.parametrize(("experiment", "network"), [("mine_hrda", "multires"), ("mine_source_only", "segmentor")])
def test_the_documented_folder_composes(experiment: str, network: str, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own_data.md").read_text()
    blocks = re.findall(r"`mine/(\w+/\w+\.yaml)`[^`]*```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    files = {**dict(blocks), "dataset/street.yaml": dict(blocks)["dataset/rendered.yaml"].replace("rendered", "street")}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = run("hrda_lit.train", f"experiment={experiment}", "--config-dir", tmp_path, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert (config["source"]["root"], config["val"]["root"]) == ("/data/rendered", "/data/street")
    assert network in config["network"]["segmentor"]["_target_"]
    assert config["network"]["backbone"]["options"]["pad_type"] == "same"
