"""Experiments of foundation encoders: trained small from random weights, validated, predicted, exported."""

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
ENCODERS = ("dinov2_base", "dinov3_large", "dinov2_large")
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Callable[[str, str], Path]:
    """Return what trains a method on an encoder, once, and returns its checkpoint."""
    return functools.cache(
        lambda method, encoder: small(tmp_path_factory.mktemp(method), demo_root, f"{method}_{encoder}")
    )


def cases(usual: set[tuple[str, str]]) -> list[Any]:
    """List every method on every encoder; all but the usual ones are thorough."""
    return [
        pytest.param(*case, marks=() if case in usual else pytest.mark.thorough)
        for case in itertools.product(METHODS, ENCODERS)
    ]


TRAINED = {*itertools.product(METHODS, ENCODERS[:1]), ("hrda", "dinov3_large"), ("self_training", "dinov3_large")}
# Each network on each kind of encoder, with and without a mask token.
EXPORTED = {("source_only", "dinov2_base"), ("self_training", "dinov3_large"), ("hrda", "dinov2_base")}


@pytest.mark.parametrize(("method", "encoder"), cases(TRAINED))
def test_it_trains_validates_and_predicts(method: str, encoder: str, trained: Callable[[str, str], Path]) -> None:
    checkpoint = trained(method, encoder)
    assert json.loads((checkpoint.parents[1] / "metrics.json").read_text())["val/miou"] >= 0
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    adapts = method in ("self_training", "hrda")
    assert any(key.endswith("mask_token") for key in state) == adapts
    assert any(key.startswith("teacher.") for key in state) == adapts

    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    assert Predictor(checkpoint, device="cpu")(Image.fromarray(image)).label.shape == (60, 100)


@pytest.mark.parametrize(("method", "encoder"), cases(EXPORTED))
def test_it_is_exported(method: str, encoder: str, trained: Callable[[str, str], Path], tmp_path: Path) -> None:
    checkpoint = trained(method, encoder)
    export(checkpoint, tmp_path / "net.onnx", size=(128, 192))
    model = load_trained(checkpoint)
    pixels = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], {"image": pixels.numpy()})
    with torch.no_grad():
        expected = model.inference(model.network, renormalise(pixels))
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_another_encoder_changes_nothing_else(method: str, tmp_path: Path) -> None:
    """What is trained here on one encoder is what is trained on the others."""
    first, *others = (compose(tmp_path, tmp_path, f"experiment=foundation/{method}_{name}") for name in ENCODERS)
    for config in others:
        assert config.network.backbone.get("mask_token") == first.network.backbone.get("mask_token")
        config.name, config.network.backbone = first.name, first.network.backbone
        assert config == first


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
    module = build_module(config, build_method(config, CITYSCAPES))
    assert ("network.backbone.weights is null" in caplog.text) == (tune != "full")
    assert module.student.backbone.tune == tune
