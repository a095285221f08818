"""The head of VFM-UDA on plain transformers: resized images, patches as cells, one scale and several."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.plain import PlainPyramid
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.networks.upsample_head import UpsampleHead
from hrda_lit.ops.boxes import sliding_boxes
from hrda_lit.ops.rng import generator

VIT = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 56}


@pytest.fixture
def patches() -> Backbone:
    torch.manual_seed(0)
    return Backbone("vit_small_patch14_dinov2", levels=[-1], options=VIT, input_scale=1.1)


def norm(x: Tensor, layer: nn.Module) -> Tensor:
    """LayerNorm over channels, written out."""
    centred = x - x.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return scaled * layer.weight[:, None, None] + layer.bias[:, None, None]


def test_the_head_is_two_transposed_convolutions_and_a_classifier() -> None:
    head, x = UpsampleHead([8, 16], 5), torch.randn(2, 16, 3, 4)
    first, second, mix, classify = (
        layer.weight for layer in head.layers if not isinstance(layer, nn.GELU | nn.LayerNorm)
    )
    norms = [layer for layer in head.layers if isinstance(layer, nn.LayerNorm)]
    x1 = F.gelu(norm(F.conv_transpose2d(x, first, stride=2), norms[0]))
    x2 = norm(F.conv_transpose2d(x1, second, stride=2), norms[1])
    expected = F.conv2d(norm(F.conv2d(x2, mix, padding=1), norms[2]), classify)
    torch.testing.assert_close(head([torch.zeros(0), x]), expected)
    assert expected.shape == (2, 5, 12, 16)
    assert float(classify.detach().std()) == pytest.approx(0.1, rel=0.5)
    assert sum(p.ndim == 1 for p in head.parameters()) == 6, "no bias but those of the norms"


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"network\.head\.level=-1 .*18"):
        UpsampleHead([8, 18], 5)


@pytest.mark.parametrize(("side", "patch", "cells"), [(1024, 14, 80), (512, 14, 40), (1024, 16, 70), (9, 14, 1)])
def test_images_are_resized_to_whole_patches(side: int, patch: int, cells: int) -> None:
    assert PlainPyramid(nn.Identity(), patch, [0], [16], 1.1).patches((side, 2 * side))[0] == cells


def test_the_coarsest_map_is_that_of_the_patches_and_finer_ones_have_their_cells() -> None:
    backbone = Backbone("vit_small_patch14_dinov2", options=VIT, input_scale=1.1)
    assert backbone.strides == [4, 8, 16, 16]
    maps = backbone(torch.rand(1, 3, 128, 90))
    assert [tuple(x.shape[-2:]) for x in maps] == [(32, 23), (16, 12), (10, 7), (10, 7)]
    assert DAFormerHead(backbone.channels, 3, 8)(maps).shape[-2:] == (32, 23)


def test_one_scale_learns_at_four_times_the_patches(patches: Backbone) -> None:
    network = SingleScaleSegmentor(patches, UpsampleHead(patches.channels, 5), 5)
    image = torch.rand(2, 3, 128, 128)
    [output] = network(image, network.draw((128, 128), generator(0))).outputs
    assert output.logits.shape == (2, 5, 40, 40)
    assert network.predict(image).shape == (2, 5, 128, 128)


def test_several_scales_meet_on_one_grid(patches: Backbone) -> None:
    fusion = MultiResFusion(ScaleAttentionHead(patches.channels, 5, 8))
    network = MultiResSegmentor(patches, UpsampleHead(patches.channels, 5), fusion, 5, DetailCrop((64, 64)))
    assert (network.stride, network.multiple) == (4, 8)
    image = torch.rand(2, 3, 128, 128)
    fused, detail = network(image, network.draw((128, 128), generator(0))).outputs
    assert (fused.logits.shape[-2:], detail.logits.shape[-2:]) == ((32, 32), (16, 16))
    views = network.eval().views(image)
    assert views["fused"].shape[-2:] == (32, 32)
    boxes = sliding_boxes((128, 128), (128, 128), (64, 64))
    for name, view in next(network.window_views(image, boxes, 64 * 64)).items():
        torch.testing.assert_close(view, views[name])


def test_a_pyramid_of_its_own_is_not_resized() -> None:
    with pytest.raises(ValueError, match=r"network\.backbone\.input_scale=1\.1: .*resnet10t"):
        Backbone("resnet10t", input_scale=1.1)
