"""Encoders that are frozen or adapted by LoRA, and checkpoints that name their pretrained weights."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.pretrained_reference import (
    KEY,
    compute_fingerprint,
    list_pretrained,
    remove_pretrained_,
    restore_pretrained_,
)
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.optim import AdamWPoly, parameter_groups
from hrda_lit.training.ema_teacher import detached, ema_update_

VIT = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 64}
EVA = {"name": "eva02_tiny_patch14_224", "options": {**VIT, "img_size": 56}}
DINO = {"name": "vit_small_patch16_dinov3", "options": VIT}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(7)
    state = Backbone(**DINO).model.model.state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "vit.safetensors")
    return str(tmp_path / "vit.safetensors")


def network(**options: Any) -> SingleScaleSegmentor:
    backbone = Backbone(**{**DINO, **options})
    return SingleScaleSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), 3)


def train_a_step(student: SingleScaleSegmentor) -> None:
    optimizer, _ = AdamWPoly(lr=1e-2, warmup=0).build(student.train(), 10)
    student(torch.rand(2, 3, 64, 64), torch.zeros(0)).outputs[0].logits.square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("encoder", [DINO, EVA])
def test_lora_starts_where_the_encoder_is_and_moves_every_linear_layer(encoder: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain = Backbone(**encoder).eval()
    torch.manual_seed(0)
    adapted = Backbone(**encoder, tune="lora", lora={"rank": 2}).eval()
    image = torch.rand(1, 3, 64, 64)
    for x, y in zip(plain(image), adapted(image), strict=True):
        torch.testing.assert_close(x, y)
    learned = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert learned
    assert all(name.endswith((".down", ".up")) for name in learned)
    sum(x.square().sum() for x in adapted.train()(image)).backward()
    ups = {name: p.grad for name, p in adapted.named_parameters() if name.endswith(".up")}
    assert all(gradient is not None and gradient.any() for gradient in ups.values()), "no layer is passed by"


def test_lora_is_a_product_of_two_thin_matrices() -> None:
    layer = Backbone(**DINO, tune="lora", lora={"rank": 2, "alpha": 6}).model.model.blocks[0].mlp.fc1
    added = layer.parametrizations.weight[0]
    added.up.data.normal_()
    x = torch.rand(5, 16)
    expected = F.linear(x, layer.parametrizations.weight.original, layer.bias) + 3 * x @ added.down.T @ added.up.T
    torch.testing.assert_close(layer(x), expected)


def test_lora_needs_linear_layers() -> None:
    with pytest.raises(ValueError, match=r"tune=lora acts on linear layers, and resnet10t has none; choose full"):
        Backbone("resnet10t", tune="lora")


def test_a_frozen_encoder_changes_in_nothing() -> None:
    backbone = Backbone("resnet10t", tune="frozen")
    student = SingleScaleSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), 3)
    before = copy.deepcopy(backbone.state_dict())
    train_a_step(student)
    teacher = batch_statistics_mode(copy.deepcopy(student))
    teacher.predict(torch.rand(2, 3, 64, 64))
    ema_update_(detached(teacher), detached(student), 3, 0.9)
    for made in (student, teacher):
        assert not made.backbone.training
        assert all(torch.equal(value, before[key]) for key, value in made.backbone.state_dict().items())
    assert [group["name"] for group in parameter_groups(student, AdamWPoly())] == ["head"]


@pytest.mark.parametrize("tune", ["frozen", "lora"])
def test_a_checkpoint_holds_what_was_trained_and_names_the_rest(tune: str, weights: str) -> None:
    student = network(weights=weights, tune=tune, lora={"rank": 2})
    train_a_step(student)
    whole = {f"student.{key}": value for key, value in student.state_dict().items()}
    checkpoint: dict[str, Any] = {"state_dict": dict(whole)}
    remove_pretrained_(checkpoint, student.backbone)
    kept = {key for key in checkpoint["state_dict"] if key.startswith("student.backbone.")}
    assert all(key.endswith((".down", ".up")) for key in kept)
    assert bool(kept) == (tune == "lora")
    assert checkpoint[KEY]["weights"] == weights
    again = network(weights=weights, tune=tune, lora={"rank": 2})
    restore_pretrained_(checkpoint["state_dict"], checkpoint, again.backbone, "student.backbone.", "x.ckpt")
    assert checkpoint["state_dict"].keys() == whole.keys()
    assert all(torch.equal(value, whole[key]) for key, value in checkpoint["state_dict"].items())


def test_weights_are_read_again_where_something_wrote_into_them(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = network(weights=weights, tune="frozen").backbone
    first = compute_fingerprint(backbone)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "numpy", lambda _: pytest.fail("was read again"))
        assert compute_fingerprint(backbone) == first
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    second = compute_fingerprint(backbone)
    assert second != first
    assert compute_fingerprint(network(weights=weights, tune="frozen").backbone) == first
    backbone.half()
    assert compute_fingerprint(backbone) not in (first, second)
    with torch.inference_mode():
        untracked = network(weights=weights, tune="frozen").backbone
        assert compute_fingerprint(untracked) == first
        next(untracked.parameters()).add_(1)
        assert compute_fingerprint(untracked) == second


def test_other_weights_are_refused(weights: str, tmp_path: Path) -> None:
    checkpoint: dict[str, Any] = {"state_dict": {}}
    remove_pretrained_(checkpoint, network(weights=weights, tune="frozen").backbone)
    state = {key: value + 1 for key, value in Backbone(**DINO).model.model.state_dict().items()}
    save_file(state, tmp_path / "other.safetensors")
    other = network(weights=str(tmp_path / "other.safetensors"), tune="frozen").backbone
    for backbone, got in ((other, "other.safetensors"), (network(tune="frozen").backbone, "none")):
        with pytest.raises(
            ValueError, match=rf"x.ckpt holds .*vit.safetensors, and got .*{got}, which are others; give"
        ):
            restore_pretrained_({}, checkpoint, backbone, "", "x.ckpt")
    with pytest.raises(ValueError, match=r"x.ckpt does not say which pretrained weights it needs"):
        restore_pretrained_({}, {KEY: {"name": 3}}, other, "", "x.ckpt")


@pytest.mark.parametrize("options", [{"tune": "full"}, {"tune": "frozen", "weights": None}])
def test_what_is_learned_whole_or_random_is_stored_whole(options: dict[str, Any], weights: str) -> None:
    student = network(**{"weights": weights, **options})
    checkpoint: dict[str, Any] = {"state_dict": {f"student.{key}": 0 for key in student.state_dict()}}
    before = dict(checkpoint["state_dict"])
    remove_pretrained_(checkpoint, student.backbone)
    assert checkpoint == {"state_dict": before}
    assert bool(list_pretrained(student.backbone)) == (options["tune"] == "frozen")


@pytest.mark.parametrize(("tune", "layer_decay"), [("full", 0.5), ("lora", 0.5)])
def test_earlier_layers_learn_slower(tune: str, layer_decay: float) -> None:
    student = network(tune=tune)
    groups = parameter_groups(student, AdamWPoly(1.0, 10, 0.1, layer_decay=layer_decay))
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    named = {name: rates[id(p)] for name, p in student.named_parameters() if p.requires_grad}
    assert len(named) == len(rates)
    for name, rate in named.items():
        block = int(name.split(".")[4]) if ".blocks." in name else -1
        if block >= 0:
            assert rate == pytest.approx(0.5 ** (4 - block)), name
        elif name.startswith("head."):
            assert rate == 10
    assert (min(named.values()) == pytest.approx(0.5**5)) == (tune == "full"), "the stem is slowest"
