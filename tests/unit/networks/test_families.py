"""One encoder of each family: a pyramid, a step, inference on any size; their published sizes."""

import copy
from importlib.resources import files

import pytest
import torch
from hydra import compose, initialize_config_module
from torch import Tensor, nn

from hrda_lit.config.nodes import to_plain
from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.methods.base import Networks
from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.plain import PlainPyramid, sample, stage_ends, stage_strides
from hrda_lit.ops.normalise import denormalise
from hrda_lit.optim import AdamWPoly
from tests.passes import steps

VIT = {"depth": 4, "embed_dim": 16, "num_heads": 2}
FAMILIES = {
    "resnet50c": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8), "stem_width": 8, "output_stride": 8},
    "convnext_tiny": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "swin_tiny_patch4_window7_224": {
        "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window_size": 2, "strict_img_size": False
    },
    "tiny_vit_5m_224": {"embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)},
    "vit_small_patch14_reg4_dinov2": VIT | {"img_size": 56},
    "vit_small_patch16_dinov3": VIT | {"img_size": 64},
    "eva02_tiny_patch14_224": VIT | {"img_size": 56},
    "vit_base_patch16_siglip_256": VIT | {"img_size": 64},
}  # fmt: skip
STRIDES = {name: [4, 8, 16, 16] for name in FAMILIES if "patch1" in name} | {"resnet50c": [4, 8, 8, 8]}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_and_inference_on_any_size(name: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name, options=FAMILIES[name])
    assert backbone.strides == STRIDES.get(name, [4, 8, 16, 32])
    fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 19, 8))
    network = MultiResSegmentor(backbone, DAFormerHead(backbone.channels, 19, 8), fusion, 19, DetailCrop((64, 64)))
    optimizer, _ = AdamWPoly(lr=1e-3, warmup=0, layer_decay=0.8).build(network, 10)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    label = torch.randint(0, 19, (2, 128, 128))
    assert batch_statistics_mode(copy.deepcopy(network)).predict(torch.rand(2, 3, 128, 128)).isfinite().all()
    for done in steps(
        Supervised(CITYSCAPES), {"source": {"image": torch.rand(2, 3, 128, 128), "label": label}}, Networks(network)
    ):
        done.loss.backward()
    optimizer.step()
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert sum(key.startswith("backbone.") for key in moved) > 10
    with torch.inference_mode():
        cells = [tuple(x.shape[-2:]) for x in network.eval().backbone(torch.rand(1, 3, 90, 131))]
        assert cells == [(-(-90 // stride), -(-131 // stride)) for stride in backbone.strides]
        assert network.predict(torch.rand(1, 3, 72, 136)).isfinite().all()


MILLIONS = {
    "demo": 0.5, "mit_b5": 81.4, "resnet50": 23.5, "resnet101": 42.5, "convnext_large": 196.2, "swin_large": 195.2,
    "timm": 23.5, "vit": 85.8, "dinov2_base": 86.6, "dinov2_large": 304.4, "dinov3_large": 303.1, "eva02_large": 304.1,
    "siglip2_large": 304.1,
}  # fmt: skip
CHOICES = sorted(
    path.name.removesuffix(".yaml") for path in files("hrda_lit.conf").joinpath("network", "backbone").iterdir()
)


@pytest.mark.slow
@pytest.mark.parametrize("choice", CHOICES)
def test_encoders_that_the_configs_choose(choice: str) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        keys = to_plain(compose("train", [f"network/backbone={choice}"]).network.backbone)
    with torch.device("meta"):
        backbone = Backbone(keys["name"], None, keys["levels"], keys["options"], keys["tune"])
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(MILLIONS[choice], abs=0.1)


class Centres(nn.Module):
    """Stands for a transformer: tells where the centre of each patch lies, in pixels."""

    def forward_intermediates(self, image: Tensor, indices: list[int], **_: object) -> list[Tensor]:
        assert all(extent % 14 == 0 for extent in image.shape[-2:])
        rows, columns = (torch.arange(extent // 14) * 14 + 7.0 for extent in image.shape[-2:])
        return [torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]] * len(indices)


@pytest.mark.parametrize("size", [(128, 128), (100, 227)])
def test_cells_see_what_lies_below_them(size: tuple[int, int]) -> None:
    maps = PlainPyramid(Centres(), 14, [0, 1, 2, 3], [4, 8, 16, 32])(torch.zeros(1, 3, *size))
    for found, stride in zip(maps, [4, 8, 16, 32], strict=True):
        rows, columns = (torch.arange(-(-extent // stride)) * stride + stride / 2 for extent in size)
        expected = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
        assert found.shape == expected.shape
        # Before the first centre and after the last there is nothing to interpolate with.
        inner = ((expected >= 7) & (expected <= torch.tensor(size)[None, :, None, None] - 7)).all(1, keepdim=True)
        assert inner.any()
        torch.testing.assert_close(found[inner.expand_as(found)], expected[inner.expand_as(found)])


def test_a_patch_that_is_a_cell_stays_as_it_is() -> None:
    patches = torch.rand(1, 2, 3, 3)
    assert torch.equal(sample(patches, 16, 16, (33, 48)), patches)


def test_stages_of_a_plain_transformer() -> None:
    assert [stage_ends(depth) for depth in (4, 12, 24)] == [[0, 1, 2, 3], [2, 5, 8, 11], [5, 11, 17, 23]]
    assert [stage_strides(patch) for patch in (8, 14, 16, 32)] == [
        [4, 8, 8, 8], [4, 8, 16, 16], [4, 8, 16, 16], [4, 8, 16, 32]
    ]  # fmt: skip


def test_an_encoder_gets_images_as_it_was_pretrained() -> None:
    backbone = Backbone("vit_base_patch16_siglip_256", options=FAMILIES["vit_base_patch16_siglip_256"]).eval()
    got: list[Tensor] = []
    backbone.model.register_forward_pre_hook(lambda _, inputs: got.append(inputs[0]))
    image = torch.randn(1, 3, 32, 32)
    backbone(image)
    torch.testing.assert_close(got[0], (denormalise(image) - 0.5) / 0.5)


def test_the_papers_encoders_get_images_as_they_come() -> None:
    backbone = Backbone("mit_b0", options={"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)})
    assert backbone.gain is None
    assert backbone.offset is None


def test_resnet_is_dilated_as_in_the_released_code() -> None:
    with torch.device("meta"):
        model = Backbone("resnet50c", options={"output_stride": 8}).model
    stem = [(m.out_channels, m.kernel_size, m.stride) for m in model.conv1 if isinstance(m, nn.Conv2d)]
    assert stem == [(32, (3, 3), (2, 2)), (32, (3, 3), (1, 1)), (64, (3, 3), (1, 1))]
    blocks = [[block.conv2.dilation[0] for block in getattr(model, f"layer{stage}")] for stage in (3, 4)]
    assert blocks == [[1, 2, 2, 2, 2, 2], [2, 4, 4]]
    assert isinstance(model.layer2[0].downsample[0], nn.Conv2d), "no average before the shortcut, as in V1d"
