"""Encoders of several families as checked pyramids."""

import pytest
import torch

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.drop_path import DropPath

SWIN = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window_size": 2}


@pytest.mark.parametrize("name", ["resnet10t", "test_convnext", "test_efficientnet", "pvt_v2_b0"])
def test_families(name: str) -> None:
    backbone = Backbone(name).eval()
    maps = backbone(torch.rand(2, 3, 64, 96))
    assert backbone.strides == [4, 8, 16, 32]
    assert [tuple(x.shape) for x in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]


def test_size_that_is_no_multiple_of_the_stride(backbone: Backbone) -> None:
    assert [tuple(x.shape[-2:]) for x in backbone(torch.rand(1, 3, 50, 70))] == [
        (13, 18),
        (7, 9),
        (4, 5),
        (2, 3),
    ]


def test_channels_last_is_permuted_even_where_rows_equal_channels() -> None:
    backbone = Backbone("swin_tiny_patch4_window7_224", options=SWIN | {"strict_img_size": False}).eval()
    # 16 channels at stride 4: an image of 64 rows has 16 rows of cells.
    image = torch.rand(1, 3, 64, 96)
    raw = backbone.model(image)
    for x, y in zip(raw, backbone(image), strict=True):
        assert torch.equal(x.permute(0, 3, 1, 2), y)


def test_fixed_size_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot encode an image of 64 x 64 .*strict_img_size"):
        Backbone("swin_tiny_patch4_window7_224", options=SWIN)


def test_a_transformer_of_fewer_blocks_than_stages_is_refused() -> None:
    with pytest.raises(ValueError, match=r"test_vit has maps of one stride .*3 blocks.*choose levels"):
        Backbone("test_vit", options={"depth": 3})


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"timm knows no model named mit_b9, .*mit_b5 or mit_b4"):
        Backbone("mit_b9")


def test_chosen_levels() -> None:
    backbone = Backbone("resnet10t", levels=(-2, -1))
    assert backbone.strides == [16, 32]
    assert len(backbone(torch.rand(1, 3, 64, 64))) == 2


def test_checking_leaves_no_trace() -> None:
    backbone = Backbone("resnet10t")
    assert backbone.training
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert all(not m.running_mean.any() and m.num_batches_tracked == 0 for m in norms)


def test_options_reach_the_encoder() -> None:
    backbone = Backbone("mit_b0", options={"depths": (1, 1, 1, 1), "drop_path_rate": 0.3})
    rates = [m.drop_prob for m in backbone.modules() if isinstance(m, DropPath)]
    assert max(rates) == pytest.approx(0.3)
