"""A run whose encoder keeps its pretrained weights: its checkpoint is small, goes on, and needs these weights again."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hrda_lit.checkpoints.load import load_trained
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.pretrained_reference import KEY
from hrda_lit.train import train

from .compose import smoke

pytestmark = pytest.mark.slow

NAME = "vit_small_patch14_dinov2"
SIZES = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 56}


def test_trained_resumed_and_loaded(tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "vit.safetensors"
    save_file(Backbone(NAME, options=SIZES).model.model.state_dict(), weights)
    run = tmp_path / "run"
    options = "{" + ",".join(f"{key}: {value}" for key, value in SIZES.items()) + "}"
    settings = (
        "daformer_gta",
        f"network.backbone.name={NAME}",
        f"network.backbone.weights={weights}",
        "network.backbone.tune=lora",
        "~network.backbone.options",
        f"+network.backbone.options={options}",
        "callbacks.pictures.count=0",
        "resume=auto",
    )
    train(smoke(run, demo_root, *settings))
    train(smoke(run, demo_root, *settings, "trainer.max_steps=4"))
    path = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["global_step"] == 4
    assert checkpoint[KEY]["weights"] == str(weights)
    inside = {key for key in checkpoint["state_dict"] if ".backbone." in key}
    assert all(key.endswith((".down", ".up")) for key in inside)
    assert inside

    image = torch.rand(1, 3, 128, 128)
    there = load_trained(path, "student", weights=str(weights)).network.predict(image)
    moved = shutil.move(weights, tmp_path / "elsewhere.safetensors")
    with pytest.raises(ValueError, match=rf"holds what was trained on top of {NAME}, .*vit.safetensors; give them by"):
        load_trained(path, "student")
    monkeypatch.setenv("HRDA_LIT_WEIGHTS", str(moved))
    assert torch.equal(load_trained(path, "student").network.predict(image), there)
