"""A released checkpoint, converted, predicts what the authors' code predicts, and comes back unchanged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from goldens import Golden
from torch import Tensor

from hrda_lit.api import compose
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.exchange.convert import checkpoint_to_official, checkpoint_to_ours

pytestmark = pytest.mark.slow

FIVE = ("dataset@source=folder", "source.root=.", "source.classes={names:[a,b,c,d,e]}")


def released(golden: Golden) -> dict[str, Any]:
    """Lay the golden's weights out as a released file: another teacher, an ImageNet network, what mmcv adds."""
    student = golden.state("sd/")
    state = {"model." + key: value for key, value in student.items()}
    state |= {"ema_model." + key: 2 * value for key, value in student.items()}
    state |= {"imnet_model." + key: 3 * value for key, value in student.items()}
    return {"meta": {"iter": 40000, "CLASSES": ("road", "wall")}, "state_dict": state, "optimizer": {"state": {}}}


def overrides(golden: Golden) -> list[str]:
    config = golden.json("cfg")
    encoder = config["backbone"]
    return [
        "experiment=hrda_gta",
        "network.backbone.name=mit_b0",
        *(f"+network.backbone.options.{key}={encoder[key]}" for key in ("embed_dims", "depths")),
        f"network.head.channels={config['channels']}",
        f"network.attention.channels={config['attention_embed_dim']}",
        f"data.crop={config['ctx']}",
        *(FIVE if config["num_classes"] == 5 else ()),
    ]


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return list(ours) == list(theirs) and all(
        torch.equal(value, theirs[key]) and value.dtype == theirs[key].dtype for key, value in ours.items()
    )


@pytest.mark.parametrize("name", ["d1_net19", "d1_net5"])
def test_there_and_back(name: str, tmp_path: Path) -> None:
    golden = Golden(name)
    content = released(golden)
    torch.save(content, tmp_path / "released.pth")
    checkpoint_to_ours(tmp_path / "released.pth", tmp_path / "ours.ckpt", compose(*overrides(golden)))
    model = load_trained(tmp_path / "ours.ckpt")
    teacher = load_trained(tmp_path / "ours.ckpt", "teacher")
    with torch.no_grad():
        golden.check("whole_full", model.network.predict(golden["img"])[:1], atol=1e-5)
        golden.check("whole_fused", model.network.views(golden["img"])["fused"], atol=1e-5)
        golden.check("big_slide", model.inference(model.network, golden["big_img"]), atol=1e-5)
    for ours, other in zip(model.network.parameters(), teacher.network.parameters(), strict=True):
        assert torch.equal(2 * ours, other)
    checkpoint_to_official(tmp_path / "ours.ckpt", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back["meta"] == content["meta"]
    assert same(back["state_dict"], content["state_dict"])


def test_a_bare_segmentor_there_and_back(tmp_path: Path) -> None:
    golden = Golden("d1_net19")
    torch.save(golden.state("sd/"), tmp_path / "released.pth")
    checkpoint_to_ours(tmp_path / "released.pth", tmp_path / "ours.ckpt", compose(*overrides(golden)))
    checkpoint_to_official(tmp_path / "ours.ckpt", tmp_path / "back.pth")
    assert same(torch.load(tmp_path / "back.pth", weights_only=True), golden.state("sd/"))
    with pytest.raises(ValueError, match="holds no teacher"):
        load_trained(tmp_path / "ours.ckpt", "teacher")
