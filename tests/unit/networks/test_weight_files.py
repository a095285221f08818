"""Weight files as other trainers and hubs write them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.layouts import mit_to_official

State = dict[str, Tensor]
OPTIONS = {"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)}
VIT = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 56}
SMALL = {
    "convnext_tiny": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "swin_tiny_patch4_window7_224": {
        "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window_size": 2
    },
    "vit_small_patch14_reg4_dinov2": VIT,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> Backbone:
    torch.manual_seed(3)
    return Backbone("mit_b0", options=OPTIONS)


def below(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def zeros(state: State) -> State:
    return {key: torch.zeros_like(value) for key, value in state.items()}


CONTENTS: dict[str, Callable[[State], dict[str, Any]]] = {
    "mmsegmentation": lambda x: {
        "meta": {"epoch": 1},
        "state_dict": below("backbone.", x) | {"decode_head.conv_seg.bias": torch.zeros(2)},
    },
    "mmsegmentation with DDP": lambda x: {"state_dict": below("module.backbone.", x)},
    "DDP": lambda x: below("module.", x),
    "torch.compile": lambda x: {"model": below("_orig_mod.", x)},
    "timm's EMA": lambda x: {"epoch": 1, "state_dict_ema": x},
    "ConvNeXt with EMA": lambda x: {"model": x, "model_ema": zeros(x)},
    "DINO": lambda x: {
        "student": below("module.backbone.", zeros(x)),
        "teacher": below("backbone.", x) | {"head.mlp.0.weight": torch.zeros(1)},
    },
    "released HRDA": lambda x: {"state_dict": below("model.backbone.", zeros(x)) | below("ema_model.backbone.", x)},
    "half precision": lambda x: {key: value.half() for key, value in x.items()},
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_encoder_of_a_file_is_found(kind: str, trained: Backbone, tmp_path: Path) -> None:
    torch.save(CONTENTS[kind](mit_to_official(trained.model.state_dict())), tmp_path / "w.pth")
    loaded = Backbone("mit_b0", str(tmp_path / "w.pth"), options=OPTIONS).state_dict()
    for key, value in trained.state_dict().items():
        torch.testing.assert_close(loaded[key], value, rtol=1e-3, atol=1e-4)


def test_the_encoder_of_a_checkpoint_of_this_library(trained: Backbone, tmp_path: Path) -> None:
    state = below("student.backbone.", trained.state_dict()) | {"student.head.classify.bias": torch.zeros(3)}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    loaded = Backbone("mit_b0", str(tmp_path / "last.ckpt"), options=OPTIONS).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in trained.state_dict().items())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "safetensors.pth"])
def test_folders_and_files_of_another_suffix(name: str, trained: Backbone, tmp_path: Path) -> None:
    state = {key: value.contiguous() for key, value in mit_to_official(trained.model.state_dict()).items()}
    save = save_file if name in ("model.safetensors", "safetensors.pth") else torch.save
    save(state, tmp_path / name)
    path = tmp_path if name in ("model.safetensors", "pytorch_model.bin") else tmp_path / name
    assert Backbone("mit_b0", str(path), options=OPTIONS).pretrained


def official_convnext(state: State) -> State:
    names = {}
    for key, value in state.items():
        key = re.sub(r"^stem\.", "downsample_layers.0.", key)
        key = re.sub(r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1.", key)
        key = re.sub(r"^stages\.(\d)\.blocks\.", r"stages.\1.", key)
        for ours, theirs in (("conv_dw", "dwconv"), ("mlp.fc", "pwconv"), ("head.norm", "norm"), ("head.fc", "head")):
            key = key.replace(ours, theirs)
        names[key] = value
    return names


def official_swin(state: State) -> State:
    moved = {}
    for key, value in state.items():
        found = re.match(r"layers\.(\d)\.downsample", key)
        if found:  # at the end of the stage before
            key = f"layers.{int(found[1]) - 1}.downsample{key[found.end() :]}"
        moved[key.replace("head.fc", "head")] = value
    return moved | {"layers.0.blocks.0.attn.relative_position_index": torch.zeros(4, 4, dtype=torch.long)}


def official_dinov2(state: State) -> State:
    tokens = {"register_tokens": state["reg_token"], "mask_token": torch.zeros(1, 16)}
    places = torch.cat([torch.zeros(1, 1, 16), state["pos_embed"]], dim=1)
    return {key: value for key, value in state.items() if key != "reg_token"} | tokens | {"pos_embed": places}


@pytest.mark.parametrize(
    ("name", "layout"), list(zip(SMALL, (official_convnext, official_swin, official_dinov2), strict=True))
)
def test_layouts_that_timm_converts(name: str, layout: Callable[[State], State], tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = timm.create_model(name, **SMALL[name]).state_dict()
    images, maps = torch.rand(1, 3, 64, 64), []
    for index, content in enumerate((state, {"model": layout(state)})):
        torch.save(content, tmp_path / f"{index}.pth")
        with torch.no_grad():
            maps.append(Backbone(name, str(tmp_path / f"{index}.pth"), options=SMALL[name]).eval()(images))
    for ours, theirs in zip(*maps, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"hello", "it is no file that torch.save wrote"),
        (b"<!DOCTYPE html><html>", "it is no file that torch.save wrote"),
        (b"version https://git-lfs.github.com/spec/v1\n", "perhaps a pointer of Git LFS: run git lfs pull"),
        (b"\x80\x04\x95", "it is damaged, or no file that torch.save wrote"),
    ],
)
def test_files_of_another_kind(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"w\.pth cannot be read \(.*{sentence}.*\); download"):
        Backbone("mit_b0", str(tmp_path / "w.pth"))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors; give a folder"):
        Backbone("mit_b0", str(tmp_path))


def test_weights_of_another_encoder_are_named_shortly(trained: Backbone, tmp_path: Path) -> None:
    with torch.device("meta"):
        names = timm.create_model("resnet10t").state_dict()
    torch.save({key: torch.zeros(1) for key in names}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth does not fit mit_b0: 100 keys missing \(.*and 97 more\)") as caught:
        Backbone("mit_b0", str(tmp_path / "w.pth"), options=OPTIONS)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_an_encoder_that_timm_has_no_weights_of() -> None:
    with pytest.raises(FileNotFoundError, match=r"weights=imagenet .* mit_b0, which did not work .*; give a file"):
        Backbone("mit_b0", "imagenet")


@pytest.mark.parametrize(
    ("name", "near"),
    [("hf-hub:timm/resnet50.a1_in1k", "resnet50"), ("MiT-B5", "mit_b5"), ("timm/mit_b3", "mit_b3")],
)
def test_names_of_hubs_and_papers(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"timm knows no model named {name}, .* is; {near} "):
        Backbone(name)


@pytest.mark.filterwarnings("ignore:Mapping deprecated model name")  # the name that is tested
def test_a_former_name_keeps_its_normalisation() -> None:
    options = {"depth": 4, "embed_dim": 16, "num_heads": 2}
    former, present = (Backbone(name, options=options) for name in (
        "vit_base_patch16_224_in21k", "vit_base_patch16_224.augreg_in21k"
    ))  # fmt: skip
    assert former.gain is not None
    torch.testing.assert_close(former.gain, present.gain)
