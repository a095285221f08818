"""Encoders of several families as checked pyramids."""

import pytest
import torch

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.encoder_layers import DropPath

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


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"])
def test_encoders_that_can_take_any_size_do(name: str) -> None:
    assert [tuple(x.shape[-2:]) for x in Backbone(name, options=SWIN)(torch.rand(1, 3, 50, 70))][-1] == (2, 3)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "beit_base_patch16_224",
            r"name=beit_base_patch16_224 is not supported \(it cannot encode .* 32 x 32: .* mit_b5",
        ),
        ("coat_tiny", r"name=coat_tiny is not supported \(it cannot encode an image of 64 x 64"),
        ("volo_d1_224", r"name=volo_d1_224 is not supported"),
        ("convmixer_768_32", r"name=convmixer_768_32 is not supported"),
        (
            "levit_128s",
            r"levels=\[-4, .*: expected indices of the 3 feature maps .*set network.backbone.levels=\[-3, -2",
        ),
    ],
)
def test_encoders_that_do_not_fit_are_refused_in_a_sentence(name: str, sentence: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=sentence):
        Backbone(name)


@pytest.mark.parametrize("name", ["xcit_nano_12_p16_224", "tiny_vit_5m_224", "naflexvit_base_patch16_gap"])
def test_other_families_work(name: str) -> None:
    with torch.device("meta"):
        maps = Backbone(name)(torch.zeros(1, 3, 96, 131, device="meta"))
    assert [x.shape[-1] for x in maps][:2] == [33, 17]


def test_options_of_another_encoder_are_refused() -> None:
    with pytest.raises(ValueError, match=r"network\.backbone\.options=.*does not fit mit_b0 .*stem_width"):
        Backbone("mit_b0", options={"stem_width": 16})
    with pytest.raises(ValueError, match=r"network\.backbone\.options=.*does not fit vit_tiny_patch16_224"):
        Backbone("vit_tiny_patch16_224", options={"stem_width": 16})


def test_a_transformer_of_fewer_blocks_than_stages_is_refused() -> None:
    with pytest.raises(ValueError, match=r"network\.backbone\.levels=.* test_vit, whose 3 blocks"):
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
