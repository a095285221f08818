"""An independent SegFormer, that of transformers, gives the logits of MiT with its MLP head."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hrda_lit.api import compose
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.exchange.segformer import checkpoint_to_transformers, read_shape, transformers_to_checkpoint
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import SegFormerHead
from hrda_lit.networks.layouts import from_transformers, to_transformers
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.ops.normalise import MEAN, STD
from tests.scripts import run_script
from tests.trained import write_checkpoint

pytestmark = pytest.mark.slow  # transformers takes seconds to import

DIMS, DEPTHS, WIDTH = [16, 32, 40, 64], [1, 2, 1, 1], 24


def reference(classes: int = 5) -> Any:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=DIMS,
        depths=DEPTHS,
        num_attention_heads=[1, 2, 5, 8],
        decoder_hidden_size=WIDTH,
        num_labels=classes,
        layer_norm_eps=1e-6,
    )
    made = SegformerForSemanticSegmentation(config).eval()
    for parameter in made.parameters():  # away from zeros and ones, which would hide a part
        parameter.data.normal_(std=0.1)
    for norm in (module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return made


def test_logits_are_those_of_transformers(tmp_path: Path) -> None:
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    backbone = Backbone("mit_b0", str(file), options={"embed_dims": DIMS, "depths": DEPTHS})
    head = SegFormerHead(backbone.channels, 5, WIDTH)
    state = from_transformers(load_file(file))
    head.load_state_dict({key.removeprefix("head."): value for key, value in state.items() if key.startswith("head.")})
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = theirs(pixel_values=image).logits
        found = SingleScaleSegmentor(backbone, head, 5).eval().views(image)["fused"]
    assert expected.std() > 0.01
    assert_alike(found, expected)


def assert_alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    # transformers knows one epsilon for all norms, MiT two.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_a_folder_of_transformers_becomes_ours_and_back(tmp_path: Path) -> None:
    from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor

    theirs = reference(19)
    theirs.save_pretrained(tmp_path / "theirs")
    said = run_script("convert_checkpoint", "from-transformers", tmp_path / "theirs", tmp_path / "ours.ckpt")
    assert "MiT with SegFormer's head" in said.stdout, said.stderr
    ours = load_trained(tmp_path / "ours.ckpt")
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = theirs(pixel_values=image).logits
        assert_alike(ours.network.views(image)["fused"], expected)
    said = run_script("convert_checkpoint", "to-transformers", tmp_path / "ours.ckpt", tmp_path / "back")
    assert "the student of" in said.stdout, said.stderr
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("theirs", "back"))
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    back, lost = SegformerForSemanticSegmentation.from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(lost[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        assert torch.equal(back.eval()(pixel_values=image).logits, expected)
    assert back.config.id2label[0] == "road"
    processor = SegformerImageProcessor.from_pretrained(tmp_path / "back")
    white = processor(torch.full((3, 8, 8), 255, dtype=torch.uint8), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(white[:, 0, 0], (255 - torch.tensor(MEAN)) / torch.tensor(STD), rtol=1e-5, atol=1e-5)


def test_names_go_there_and_back(tmp_path: Path) -> None:
    backbone = Backbone("mit_b0", options={"embed_dims": DIMS, "depths": DEPTHS})
    state = SingleScaleSegmentor(backbone, SegFormerHead(backbone.channels, 5, WIDTH), 5).state_dict()
    again = from_transformers(to_transformers(state))
    assert again.keys() == state.keys()
    assert all(torch.equal(value, again[key]) for key, value in state.items())


def convert(folder: Path, target: Path) -> None:
    transformers_to_checkpoint(folder, target, compose("experiment=source_only_gta", *read_shape(folder)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "beit"}, r"has no config\.json of a segformer; give a folder that save_pretrained wrote\.$"),
        ({"sr_ratios": [1, 1, 1, 1]}, r"has \{'sr_ratios': \[1, 1, 1, 1\]\}, which no MiT has"),
        ({"hidden_sizes": "x"}, r"config\.json cannot be used: hidden_sizes=x: expected a list of 4, each a whole"),
        (
            {"depths": [1, 1, 1, 1]},
            r"does not fit experiment .* 20 keys unexpected \(backbone\.model\.stages_1\.blocks\.1",
        ),
        ({"decoder_hidden_size": 8}, r"does not fit experiment .* of another shape \(head\.classify\.weight"),
    ],
)
def test_a_folder_of_another_network_is_refused(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    theirs = reference(19)
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=sentence):
        convert(tmp_path, tmp_path / "ours.ckpt")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", "hrda_demo")
    with pytest.raises(ValueError, match=r"is a MultiResSegmentor with a DAFormerHead.*network/head=segformer\.$"):
        checkpoint_to_transformers(checkpoint, tmp_path / "folder")
    mine = write_checkpoint(tmp_path / "mine.ckpt", "source_only_demo", "network/head=segformer")
    with pytest.raises(ValueError, match=r"none of MiT's .*; give a MiT encoder"):
        checkpoint_to_transformers(mine, tmp_path / "folder")
