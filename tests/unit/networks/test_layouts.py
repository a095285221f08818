"""Names of the authors' checkpoints."""

import pytest
import torch

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.layouts import from_official, to_official
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.networks.weights import load_checked


def official_head(prefix: str, widths: int = 4) -> list[str]:
    """List the parameters of the authors' DAFormer head, written by hand."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    convolution = lambda name: [f"{name}.conv.weight", *(f"{name}.bn.{key}" for key in norm)]  # noqa: E731
    names = [f"embed_layers.{i}.proj.{kind}" for i in range(widths) for kind in ("weight", "bias")]
    names += convolution("fuse_layer.aspp_modules.0")
    for branch in (1, 2, 3):
        names += convolution(f"fuse_layer.aspp_modules.{branch}.depthwise_conv")
        names += convolution(f"fuse_layer.aspp_modules.{branch}.pointwise_conv")
    names += [*convolution("fuse_layer.bottleneck"), "conv_seg.weight", "conv_seg.bias"]
    return [prefix + name for name in names]


def renamed(names: list[str]) -> set[str]:
    return set(from_official({name: torch.zeros(1) for name in names}))


def test_head_of_daformer(single) -> None:
    ours = {f"head.{key}" for key in single.head.state_dict()}
    assert renamed(official_head("decode_head.")) == ours


def test_heads_of_hrda(multires) -> None:
    network = multires()
    ours = {key for key in network.state_dict() if not key.startswith("backbone.")}
    attention = [f"embed_layers.{i}.proj.{kind}" for i in range(4) for kind in ("weight", "bias")]
    attention += ["fuse_layer.conv.weight", "conv_seg.weight", "conv_seg.bias"]
    attention += [f"fuse_layer.bn.{key}" for key in ("weight", "bias", "running_mean", "running_var")]
    attention += ["fuse_layer.bn.num_batches_tracked"]
    official = official_head("decode_head.head.")
    official += [f"decode_head.scale_attention.{name}" for name in attention]
    assert renamed(official) == ours


def test_back_to_the_names_of_daformer(single) -> None:
    official = to_official(single.state_dict(), multires=False)
    assert {key for key in official if not key.startswith("backbone.")} == set(official_head("decode_head."))
    assert {"backbone.patch_embed1.proj.weight", "backbone.block4.0.mlp.dwconv.dwconv.bias"} < official.keys()
    back = from_official(official)
    assert back.keys() == single.state_dict().keys()
    assert all(torch.equal(value, back[key]) for key, value in single.state_dict().items())


def test_back_to_the_names_of_hrda(multires) -> None:
    state = multires().state_dict()
    official = to_official(state, multires=True)
    heads = {key for key in official if key.startswith("decode_head.head.")}
    assert heads == set(official_head("decode_head.head."))
    assert "decode_head.scale_attention.fuse_layer.bn.running_mean" in official
    back = from_official(official)
    assert back.keys() == state.keys()
    assert all(torch.equal(value, back[key]) for key, value in state.items())


def test_only_mit_has_official_names() -> None:
    with torch.device("meta"):
        backbone = Backbone("resnet10t")
        network = SingleScaleSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), 3)
    with pytest.raises(ValueError, match=r"84 of 84 parameters are none of MiT's \(conv1\.0\.weight"):
        to_official(network.state_dict(), multires=False)


def test_old_files_may_lack_the_counter_of_batch_norm(single) -> None:
    state = {k: v + 1 for k, v in single.state_dict().items() if not k.endswith("num_batches_tracked")}
    load_checked(single, state, "an old file")
    assert all(torch.equal(single.state_dict()[key], value) for key, value in state.items())
