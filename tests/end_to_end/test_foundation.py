"""Experiments of foundation encoders: trained small from random weights, validated, predicted, exported."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from hrda_lit import Predictor
from hrda_lit.build import build_method, build_module
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.config.nodes import ConfigError
from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.exchange.export import export
from hrda_lit.ops.normalise import renormalise
from hrda_lit.train import train

from .compose import UNSEEN, compose

METHODS = ("source_only", "generalise", "self_training", "hrda", "oracle")
DINOV3 = (
    "network.backbone.name=vit_small_patch16_dinov3",
    "network.backbone.options.img_size=64",
)


def small(run_dir: Path, demo_root: Path, name: str, *overrides: str) -> Path:
    """Train two steps of a tiny transformer of the same kind; returns its checkpoint."""
    asked = (f"experiment=foundation/{name}", "debug=smoke_vit", "prepare_data=null", *UNSEEN, *overrides)
    kind = DINOV3 if "dinov3" in name else ()
    score = train(compose(run_dir, demo_root, *asked, *kind, "loading.batch_size=2", "loading.accumulate=1"))
    assert 0 <= score <= 1
    return run_dir / "checkpoints" / "last.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", ["dinov2_base", "dinov3_large", pytest.param("dinov2_large", marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize("method", METHODS)
def test_it_trains_validates_predicts_and_exports(method: str, encoder: str, tmp_path: Path, demo_root: Path) -> None:
    checkpoint = small(tmp_path, demo_root, f"{method}_{encoder}")
    assert json.loads((tmp_path / "metrics.json").read_text())["val/miou"] >= 0
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    adapts = method in ("self_training", "hrda")
    assert any(key.endswith("mask_token") for key in state) == adapts
    assert any(key.startswith("teacher.") for key in state) == adapts

    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    assert Predictor(checkpoint, device="cpu")(Image.fromarray(image)).label.shape == (60, 100)

    export(checkpoint, tmp_path / "net.onnx", size=(128, 192))
    trained = load_trained(checkpoint)
    pixels = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], {"image": pixels.numpy()})
    with torch.no_grad():
        expected = trained.inference(trained.network, renormalise(pixels))
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-3)


def test_hidden_tokens_need_a_mask_token(tmp_path: Path) -> None:
    config = compose(tmp_path, tmp_path, "experiment=foundation/hrda_dinov2_base", "network.backbone.mask_token=false")
    with pytest.raises(ConfigError, match=r"method\.masked\.hide=tokens .*network\.backbone\.mask_token=true"):
        build_method(config, CITYSCAPES)


def test_the_feature_distance_needs_whole_cells(tmp_path: Path) -> None:
    config = compose(tmp_path, tmp_path, "experiment=foundation/hrda_dinov2_base", "lambda_fd=0.1")
    with pytest.raises(ConfigError, match=r"lambda_fd=0\.1 .*network\.backbone\.input_scale=1\.1"):
        build_method(config, CITYSCAPES)


@pytest.mark.parametrize("tune", ["full", "lora", "frozen"])
def test_random_weights_that_stay_are_warned_of(
    tune: str, tmp_path: Path, demo_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = compose(tmp_path, demo_root, "experiment=foundation/source_only_dinov2_base", "debug=smoke_vit")
    config.network.backbone.tune = tune
    module = build_module(config, build_method(config, CITYSCAPES), CITYSCAPES)
    assert ("network.backbone.weights is null" in caplog.text) == (tune != "full")
    assert module.student.backbone.tune == tune
