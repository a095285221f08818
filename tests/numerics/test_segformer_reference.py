"""An independent SegFormer, that of transformers, gives the logits of MiT with its MLP head."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import SegFormerHead
from hrda_lit.networks.segmentor import SingleScaleSegmentor

pytestmark = pytest.mark.slow  # transformers takes seconds to import

DIMS, DEPTHS, WIDTH = [16, 32, 40, 64], [1, 2, 1, 1], 24


def reference() -> Any:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=DIMS,
        depths=DEPTHS,
        num_attention_heads=[1, 2, 5, 8],
        decoder_hidden_size=WIDTH,
        num_labels=5,
        layer_norm_eps=1e-6,
    )
    made = SegformerForSemanticSegmentation(config).eval()
    for parameter in made.parameters():  # away from zeros and ones, which would hide a part
        parameter.data.normal_(std=0.1)
    for norm in (module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return made


def head_state(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the head; theirs fuses the coarsest level first."""
    state = {}
    for level in range(4):
        for part in ("weight", "bias"):
            [name] = [
                key
                for key in theirs
                if key.endswith((f"linear_c.{level}.proj.{part}", f"projections.{level}.proj.{part}"))
            ]
            state[f"embed.{level}.{part}"] = theirs[name]
    fuse = theirs["decode_head.linear_fuse.weight"]
    state["fuse.0.weight"] = torch.cat(fuse.chunk(4, dim=1)[::-1], dim=1)
    for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        state[f"fuse.1.{part}"] = theirs[f"decode_head.batch_norm.{part}"]
    for part in ("weight", "bias"):
        state[f"classify.{part}"] = theirs[f"decode_head.classifier.{part}"]
    return state


def test_logits_are_those_of_transformers(tmp_path: Path) -> None:
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    backbone = Backbone("mit_b0", str(file), options={"embed_dims": DIMS, "depths": DEPTHS})
    head = SegFormerHead(backbone.channels, 5, WIDTH)
    head.load_state_dict(head_state(load_file(file)))
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = theirs(pixel_values=image).logits
        found = SingleScaleSegmentor(backbone, head, 5).eval().views(image)["fused"]
    assert expected.std() > 0.01
    # transformers knows one epsilon for all norms, MiT two.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
