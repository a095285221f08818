"""What the papers leave out or change, each by keys of the config alone."""

import pytest
import torch
from hydra import compose, initialize_config_module

from hrda_lit.build import build_network
from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.boxes import crop
from hrda_lit.ops.resize import downscale, resize
from hrda_lit.ops.rng import generator
from hrda_lit.schema.check import check_train

pytestmark = pytest.mark.slow

TINY = (
    "experiment=hrda_gta", "debug=smoke", "network.backbone.name=mit_b0", "lambda_fd=0", "data_root=x", "cache_dir=x",
    "~network.backbone.options.channels", "~network.backbone.options.stem_width",
    "+network.backbone.options.embed_dims=[8,16,20,32]", "+network.backbone.options.depths=[1,1,1,1]", "run_dir=x",
)  # fmt: skip


def built(*overrides: str) -> MultiResSegmentor:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", [*TINY, *overrides])
    check_train(config)
    torch.manual_seed(0)
    network = build_network(config, CITYSCAPES)
    assert isinstance(network, MultiResSegmentor)
    return network.eval()


@pytest.mark.parametrize(
    ("overrides", "context", "detail", "maps", "windows"),
    [
        ((), 64, 64, 19, 9),
        (("network.attention=0.5",), 64, 64, 1, 9),
        (("network.attention.class_wise=false",), 64, 64, 1, 9),
        (("network.detail.overlap=false",), 64, 64, 19, 4),
        (("network.detail.blur=true",), 64, 64, 19, 9),
        (("network.detail.size=[96,96]",), 64, 96, 19, 4),  # a larger detail crop
        (("s_T=4", "network.detail.size=[64,64]"), 32, 64, 19, 9),  # a coarser context
        (("s_T=1", "network.detail.size=[64,64]"), 128, 64, 19, 9),  # both crops at high resolution
        (("network/head=deeplabv2", "network/attention=deeplabv2"), 64, 64, 19, 9),
        (("network/head=segformer",), 64, 64, 19, 9),
        (("network/head=linear", "network.head.level=1"), 64, 64, 19, 9),
    ],
)
def test_an_ablation_by_keys(
    overrides: tuple[str, ...], context: int, detail: int, maps: int, windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, image, seen = built(*overrides), torch.rand(1, 3, 128, 128), []
    encode = network.backbone.encode_all
    monkeypatch.setattr(network.backbone, "encode_all", lambda *x: seen.append([i.shape for i in x]) or encode(*x))
    outputs = network(image, network.draw((128, 128), generator(0))).outputs
    assert [shape[-1] for shape in seen[0]] == [context, detail]
    assert outputs[0].logits.shape[1] == 19
    assert network.views(image)["attention"].shape[1] == maps
    assert seen[1][1][0] == windows


def test_both_crops_at_low_resolution() -> None:
    network = built("network.downscale=2", "network.segmentor.s_T=1", "network.detail.size=[32,32]")
    assert network.draw((64, 64), generator(0)).shape == (2,)
    assert network.context(torch.rand(1, 3, 64, 64)).shape[-1] == 64


def test_a_blurred_detail_shows_what_the_context_shows() -> None:
    network = built("network.detail.blur=true")
    image = torch.rand(1, 3, 128, 128)
    drawn = network.draw((128, 128), generator(1))
    outputs = network(image, drawn).outputs
    box = outputs[1].box.on_host()
    blurred = resize(downscale(crop(image, box), 2), (64, 64))
    torch.testing.assert_close(outputs[1].logits, network.head(network.backbone(blurred)))


def test_the_last_offset() -> None:
    offsets = [
        {int(network.draw((128, 128), generator(seed))[0]) for seed in range(200)}
        for network in (built(), built("network.detail.last_offset=true"))
    ]
    assert [max(drawn) for drawn in offsets] == [56, 64]
