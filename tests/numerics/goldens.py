"""Reference arrays computed by the authors' released code, and networks that hold their weights."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.layouts import from_official
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.weights import load_checked

ROOT = Path(__file__).parent / "goldens"


class Golden:
    """One .npz: tensors by key, float16-exact inputs as float32, JSON entries by `json`.

    A key that ends in `_sub4` holds every fourth row and column of what its name says.
    """

    def __init__(self, name: str) -> None:
        with np.load(ROOT / f"{name}.npz") as file:
            self.arrays = dict(file)

    def __getitem__(self, key: str) -> Tensor:
        array = torch.from_numpy(np.asarray(self.arrays[key]))
        return array.float() if array.dtype == torch.float16 else array

    def json(self, key: str) -> Any:
        return json.loads(str(self.arrays[key]))

    def state(self, prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): self[key] for key in self.arrays if key.startswith(prefix)}

    def check(self, name: str, ours: Tensor, rtol: float = 1e-5, atol: float = 2e-5) -> None:
        """Compare `ours` with the entry of that name, subsampled as it is."""
        pattern = re.compile(re.escape(name) + r"(?:_sub(\d+))?$")
        [(key, step)] = [(key, match[1]) for key in self.arrays if (match := pattern.match(key))]
        step = int(step or 1)
        expected = self[key]
        sampled = ours.detach()[..., ::step, ::step] if step > 1 else ours.detach()
        assert sampled.shape == expected.shape, f"{key}: {sampled.shape} is not {expected.shape}"
        torch.testing.assert_close(
            sampled, expected.to(sampled.dtype), rtol=rtol, atol=atol, msg=lambda text: f"{key}: {text}"
        )


def build_backbone(config: Mapping[str, Any], **options: Any) -> Backbone:
    numbers = config["backbone"]
    sizes = {key: tuple(numbers[key]) for key in ("embed_dims", "num_heads", "depths", "mlp_ratios", "sr_ratios")}
    return Backbone("mit_b0", options={**sizes, **options})


def build_segmentor(config: Mapping[str, Any], state: dict[str, Tensor], **kwargs: Any) -> MultiResSegmentor:
    """Build the goldens' HRDA network with their weights, in eval mode, without dropout.

    `attention` replaces the scale attention: False for one map for all classes, a number for a fixed one;
    `overlap` is that of the detail windows.
    """
    backbone = build_backbone(config)
    attention, classes = kwargs.pop("attention", True), config["num_classes"]
    if isinstance(attention, bool):
        width = config["attention_embed_dim"]
        attention = ScaleAttentionHead(backbone.channels, classes, width, 0.0, class_wise=attention)
        if attention.classify.out_channels != classes:
            state = {k: v[:1] if "scale_attention.conv_seg" in k else v for k, v in state.items()}
    else:
        state = {key: value for key, value in state.items() if "scale_attention" not in key}
    head = DAFormerHead(backbone.channels, classes, config["channels"], dropout=0.0)
    detail = DetailCrop(config["hr_crop"], kwargs.pop("overlap", True))
    network = MultiResSegmentor(backbone, head, MultiResFusion(attention), classes, detail, **kwargs)
    load_checked(network, from_official(state), "the golden")
    return network.eval()


def our_names(official: list[str]) -> dict[str, str]:
    """Return the name here of each official parameter."""
    numbered = from_official({name: torch.tensor(index) for index, name in enumerate(official)})
    return {official[int(index)]: ours for ours, index in numbered.items()}
