"""Files that other people wrote become ours and back by one command, or are refused in one sentence."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hrda_lit.api import compose
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.exchange.convert import checkpoint_to_official, checkpoint_to_ours, convert_mit
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.layouts import mit_to_official, to_official
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.train import train
from tests.scripts import SCRIPTS, run_script

from .compose import smoke

SIZES = {"embed_dims": [8, 16, 20, 32], "depths": [1, 2, 1, 1]}
TINY = (
    "experiment=daformer_gta",
    "network.backbone.name=mit_b0",
    *(f"+network.backbone.options.{key}={value}" for key, value in SIZES.items()),
    "network.head.channels=8",
)


@pytest.fixture(scope="module")
def encoder() -> Backbone:
    torch.manual_seed(0)
    return Backbone("mit_b0", options=SIZES)


@pytest.fixture(scope="module")
def official(encoder: Backbone) -> dict[str, Tensor]:
    """One DAFormer segmentor under the official names."""
    network = SingleScaleSegmentor(encoder, DAFormerHead(encoder.channels, 19, 8), 19)
    return to_official(network.state_dict(), multires=False)


def test_command_there_and_back(
    official: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def convert(*arguments: object) -> str:
        # In this process, because a new one would load torch for seconds.
        script = str(SCRIPTS / "convert_checkpoint.py")
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(script, run_name="__main__")
        return capsys.readouterr().out

    state = {"model." + key: value for key, value in official.items()}
    state |= {"imnet_model." + key: value + 1 for key, value in official.items() if key.startswith("backbone.")}
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "official.pth")
    said = convert("to-ours", tmp_path / "official.pth", tmp_path / "ours.ckpt", *TINY)
    assert f"student of {len(official)} tensors" in said
    convert("to-official", tmp_path / "ours.ckpt", tmp_path / "back.pth")
    content = torch.load(tmp_path / "back.pth", weights_only=True)
    assert content.keys() == {"meta", "state_dict"}
    assert list(content["state_dict"]) == list(state)
    assert all(torch.equal(value, content["state_dict"][key]) for key, value in state.items())
    encoder = {key.removeprefix("backbone."): value for key, value in official.items() if key.startswith("backbone.")}
    torch.save(encoder, tmp_path / "mit.pth")
    convert("mit", tmp_path / "mit.pth", tmp_path / "mit.safetensors", "--layout", "timm")
    assert "stages.0.norm.weight" in load_file(tmp_path / "mit.safetensors")


def test_a_trained_checkpoint_goes_there_and_back(tmp_path: Path, demo_root: Path) -> None:
    encoder = ("~network.backbone.options.channels", "~network.backbone.options.stem_width", *TINY[1:-1])
    train(smoke(tmp_path, demo_root, "hrda_demo", "callbacks.pictures.count=0", *encoder))
    trained = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint_to_official(trained, tmp_path / "official.pth")
    content = torch.load(tmp_path / "official.pth", weights_only=True)
    assert content["meta"]["CLASSES"][:2] == ["road", "sidewalk"]
    assert {key.split(".")[0] for key in content["state_dict"]} == {"model", "ema_model"}
    settings = ("experiment=hrda_demo", "debug=smoke", *encoder)
    checkpoint_to_ours(tmp_path / "official.pth", tmp_path / "ours.ckpt", compose(*settings))
    for name in ("student", "teacher"):
        before, after = (load_trained(path, name).network.state_dict() for path in (trained, tmp_path / "ours.ckpt"))
        assert before.keys() == after.keys()
        assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_what_no_prediction_reads_is_kept_for_the_way_back(official: dict[str, Tensor], tmp_path: Path) -> None:
    state = official | {"auxiliary_head.conv_seg.weight": torch.ones(2)}
    torch.save(state, tmp_path / "official.pth")
    assert ", 1 other " in checkpoint_to_ours(tmp_path / "official.pth", tmp_path / "ours.ckpt", compose(*TINY))
    content = torch.load(tmp_path / "ours.ckpt", weights_only=True)
    assert len(content["state_dict"]) == len(official)
    checkpoint_to_official(tmp_path / "ours.ckpt", tmp_path / "back.pth")
    assert torch.load(tmp_path / "back.pth", weights_only=True).keys() == state.keys()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("mic.weight", r"1 keys of .*official\.pth are of no network .*\(mic\.weight\)"),
        ("model.decode_head.more.weight", r"the student of .* 1 keys unexpected \(decode_head\.more\.weight\)"),
        ("ema_model.decode_head.conv_seg.bias", r"the teacher of .* keys missing \(backbone\.block1"),
    ],
)
def test_keys_that_are_left(official: dict[str, Tensor], tmp_path: Path, key: str, sentence: str) -> None:
    state = {"model." + name: value for name, value in official.items()} | {key: torch.zeros(19)}
    torch.save({"state_dict": state}, tmp_path / "official.pth")
    with pytest.raises(ValueError, match=sentence):
        checkpoint_to_ours(tmp_path / "official.pth", tmp_path / "ours.ckpt", compose(*TINY))
    assert not (tmp_path / "ours.ckpt").exists()


def test_what_is_not_there_or_ours_already(tmp_path: Path) -> None:
    for convert in (lambda: checkpoint_to_ours(tmp_path, tmp_path / "ours.ckpt", compose(*TINY)),
                    lambda: convert_mit(tmp_path / "nowhere.pth", tmp_path / "ours.ckpt")):  # fmt: skip
        with pytest.raises(FileNotFoundError, match=r"no file at .*; give one with the weights to convert"):
            convert()
    torch.save({"state_dict": {}, CONFIG_KEY: {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt is a checkpoint of this library already; use it as it is"):
        checkpoint_to_ours(tmp_path / "last.ckpt", tmp_path / "ours.ckpt", compose(*TINY))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    torch.save({"state_dict": {1: torch.ones(2)}}, tmp_path / "official.pth")
    with pytest.raises(ValueError, match=r"official\.pth cannot be used \(AttributeError: .*give another"):
        checkpoint_to_ours(tmp_path / "official.pth", tmp_path / "ours.ckpt", compose(*TINY))


def test_a_source_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mit.pth").write_bytes(b"mine")
    done = run_script("convert_checkpoint", "mit", tmp_path / "mit.pth", tmp_path / "." / "mit.pth")
    assert (done.returncode, (tmp_path / "mit.pth").read_bytes()) == (1, b"mine")
    assert "mit.pth would replace its own source; choose another target" in done.stderr


def test_a_file_without_a_student(official: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"imnet_model." + key: value for key, value in official.items()}, tmp_path / "official.pth")
    with pytest.raises(ValueError, match=r"the student of .* keys missing"):
        checkpoint_to_ours(tmp_path / "official.pth", tmp_path / "ours.ckpt", compose(*TINY))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["experiment=absent"], "experiment=absent"),
        (["experiment=hrda_gta", "lamda_d=1"], "lamda_d"),
        (["experiment=hrda_gta", "lambda_d=2"], "lambda_d=2"),
    ],
)
def test_overrides_that_do_not_fit(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        compose(*overrides)
    assert "\n" not in str(caught.value)


def test_a_file_that_needs_code_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"meta": {"seed": np.float64(1)}, "state_dict": {}}, tmp_path / "official.pth")
    done = run_script("convert_checkpoint", "to-ours", tmp_path / "official.pth", tmp_path / "ours.ckpt")
    assert done.returncode == 1
    assert "it holds more than tensors (numpy" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_demo_encoder_has_no_official_names(tmp_path: Path, demo_root: Path) -> None:
    train(smoke(tmp_path, demo_root, "hrda_demo", "callbacks.pictures.count=0"))
    with pytest.raises(ValueError, match=r"none of MiT's \(conv1.*; give a MiT encoder"):
        checkpoint_to_official(tmp_path / "checkpoints" / "last.ckpt", tmp_path / "official.pth")


def hub(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name official MiT weights as the Hugging Face hub does, keys and values apart."""
    names = {"proj": "proj", "norm": "layer_norm", "norm1": "layer_norm_1", "norm2": "layer_norm_2"}
    names |= {
        "attn.q": "attention.self.query",
        "attn.sr": "attention.self.sr",
        "attn.norm": "attention.self.layer_norm",
    }
    names |= {"attn.proj": "attention.output.dense", "mlp.fc1": "mlp.dense1", "mlp.fc2": "mlp.dense2"}
    names |= {"mlp.dwconv.dwconv": "mlp.dwconv.dwconv"}
    out = {}
    for key, value in state.items():
        first, *middle, kind = key.split(".")
        if first == "head":
            out[f"classifier.{kind}"] = value
            continue
        stage = int(first[-1]) - 1
        if first.startswith("norm"):
            out[f"segformer.encoder.layer_norm.{stage}.{kind}"] = value
        elif first.startswith("patch_embed"):
            out[f"segformer.encoder.patch_embeddings.{stage}.{names[middle[0]]}.{kind}"] = value
        else:
            block, part = f"segformer.encoder.block.{stage}.{middle[0]}.", ".".join(middle[1:])
            halves = value.chunk(2) if part == "attn.kv" else ()
            for name, half in zip(("key", "value"), halves, strict=False):
                out[f"{block}attention.self.{name}.{kind}"] = half.clone()
            if not halves:
                out[f"{block}{names[part]}.{kind}"] = value
    return out


@pytest.mark.parametrize("name", ["official.pth", "hub.safetensors", "timm.safetensors"])
def test_mit_layouts(encoder: Backbone, tmp_path: Path, name: str) -> None:
    expected = mit_to_official(encoder.model.state_dict())
    expected |= {"head.weight": torch.rand(5, 32), "head.bias": torch.rand(5)}
    torch.save(expected, tmp_path / "official.pth")
    save_file(hub(expected), tmp_path / "hub.safetensors")
    convert_mit(tmp_path / "official.pth", tmp_path / "timm.safetensors", "timm")
    assert "stages.0.downsample.proj.weight" not in load_file(tmp_path / "timm.safetensors")
    assert "stages.1.downsample.proj.weight" in load_file(tmp_path / "timm.safetensors")
    convert_mit(tmp_path / name, tmp_path / "out.pth")
    out = torch.load(tmp_path / "out.pth", weights_only=True)
    assert out.keys() == expected.keys()
    assert all(torch.equal(value, out[key]) for key, value in expected.items())
    loaded = Backbone("mit_b0", str(tmp_path / "timm.safetensors"), options=SIZES)
    assert torch.equal(loaded.model.patch_embed.proj.weight, encoder.model.patch_embed.proj.weight)


@pytest.mark.parametrize(
    ("dropped", "added", "sentence"),
    [
        ("block2.1.attn.kv.bias", {}, r"is no MiT: 1 keys missing \(block2\.1\.attn\.kv\.bias\)"),
        ("norm1.bias", {"block9.x": torch.zeros(1)}, r"1 of 120 parameters are none of MiT's \(.*9.*\)"),
        ("patch_embed3.norm.weight", {}, "lacks some of the four stages"),
    ],
)
def test_mit_with_wrong_keys(
    encoder: Backbone, tmp_path: Path, dropped: str, added: dict[str, Tensor], sentence: str
) -> None:
    state = mit_to_official(encoder.model.state_dict()) | added
    del state[dropped]
    torch.save(state, tmp_path / "in.pth")
    with pytest.raises(ValueError, match=sentence):
        convert_mit(tmp_path / "in.pth", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("arguments", [("--help",), ("to-ours", "--help"), ("mit", "--help")])
def test_help(arguments: tuple[str, ...]) -> None:
    done = run_script("convert_checkpoint", *arguments)
    assert done.returncode == 0
    assert "usage: convert_checkpoint.py" in done.stdout
