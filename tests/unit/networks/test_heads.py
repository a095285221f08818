"""Every head on a pyramid, alone and inside the multi-resolution network at its own stride."""

import pytest
import torch
from torch.nn import functional as F

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, DeepLabV2Head, Head, LinearHead, ScaleAttentionHead, SegFormerHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.resize import resize
from hrda_lit.ops.rng import generator

CHANNELS = [8, 16, 20, 32]
HEADS = {
    "daformer": (lambda: DAFormerHead(CHANNELS, 3, 8), 4),
    "segformer": (lambda: SegFormerHead(CHANNELS, 3, 8), 4),
    "deeplabv2": (lambda: DeepLabV2Head(CHANNELS, 3), 32),
    "deeplabv2 of another level": (lambda: DeepLabV2Head(CHANNELS, 3, (2,), level=1), 8),
    "linear": (lambda: LinearHead(CHANNELS, 3, level=-2), 16),
}


@pytest.mark.parametrize("name", HEADS)
def test_logits_have_the_stride_that_the_head_tells(name: str, backbone: Backbone) -> None:
    make, stride = HEADS[name]
    head: Head = make()
    assert backbone.strides[head.level] == stride
    assert head(backbone(torch.rand(2, 3, 64, 96))).shape == (2, 3, 64 // stride, 96 // stride)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("attention", [0.5, "segformer", "deeplabv2"])
def test_fusion_at_the_stride_of_the_head(name: str, attention: float | str, backbone: Backbone) -> None:
    make, stride = HEADS[name]
    heads = {"segformer": ScaleAttentionHead(CHANNELS, 3, 8), "deeplabv2": DeepLabV2Head(CHANNELS, 3, level=1)}
    network = MultiResSegmentor(
        backbone, make(), MultiResFusion(heads.get(attention, attention)), 3, DetailCrop((64, 64))
    )
    assert (network.stride, network.multiple) == (stride, 2 * stride)
    image = torch.rand(2, 3, 128, 128)
    fused, detail = network(image, network.draw((128, 128), generator(0))).outputs
    assert fused.logits.shape == (2, 3, 128 // stride, 128 // stride)
    assert detail.logits.shape == (2, 3, 64 // stride, 64 // stride)
    views = network.eval().views(image)
    assert views["fused"].shape == fused.logits.shape
    assert views["attention"].shape[-2:] == (64 // stride, 64 // stride)


def test_deeplabv2_sums_two_dilated_convolutions() -> None:
    head, features = DeepLabV2Head(CHANNELS, 3), [torch.rand(1, c, 9, 9) for c in CHANNELS]
    expected = sum(
        F.conv2d(features[-1], one.weight, one.bias, padding=d, dilation=d)
        for one, d in zip(head.classify, (6, 12), strict=True)
    )
    torch.testing.assert_close(head(features), expected)


def test_segformer_head_is_linear_layers_and_one_fusion() -> None:
    head = SegFormerHead(CHANNELS, 3, 8).eval()
    features = [torch.rand(1, c, 16 >> i, 16 >> i) for i, c in enumerate(CHANNELS)]
    embedded = [
        resize(F.conv2d(x, layer.weight[:, :, None, None], layer.bias), (16, 16))
        for layer, x in zip(head.embed, features, strict=True)
    ]
    torch.testing.assert_close(head(features), head.classify(head.fuse(torch.cat(embedded, 1))))


def test_a_single_map_for_all_classes() -> None:
    assert DeepLabV2Head(CHANNELS, 3, class_wise=False)([torch.rand(1, c, 4, 4) for c in CHANNELS]).shape[1] == 1
