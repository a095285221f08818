"""Reference arrays computed by the authors' released code, and networks that hold their weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.official_keys import from_official
from hrda_lit.networks.weights import load_checked

ROOT = Path(__file__).parent / "goldens"


class Golden:
    """One .npz: tensors by key, float16-exact inputs as float32, JSON entries by `json`."""

    def __init__(self, name: str) -> None:
        self.arrays = np.load(ROOT / f"{name}.npz")

    def __getitem__(self, key: str) -> Tensor:
        array = torch.from_numpy(np.asarray(self.arrays[key]))
        return array.float() if array.dtype == torch.float16 else array

    def json(self, key: str) -> Any:
        return json.loads(str(self.arrays[key]))

    def state(self, prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): self[key] for key in self.arrays if key.startswith(prefix)}


def build_backbone(config: dict[str, Any], **options: Any) -> Backbone:
    numbers = config["backbone"]
    sizes = {key: tuple(numbers[key]) for key in ("embed_dims", "num_heads", "depths", "mlp_ratios", "sr_ratios")}
    return Backbone("mit_b0", options={**sizes, **options})


def build_segmentor(config: dict[str, Any], state: dict[str, Tensor], **kwargs: Any) -> MultiResSegmentor:
    """Build the goldens' HRDA network with their weights, in eval mode, without dropout."""
    backbone = build_backbone(config)
    attention = kwargs.pop("attention", None)
    classes = config["num_classes"]
    if attention is None:
        attention = ScaleAttentionHead(backbone.channels, classes, config["attention_embed_dim"], 0.0)
    head = DAFormerHead(backbone.channels, classes, config["channels"], dropout=0.0)
    size = (config["hr_crop"][0], config["hr_crop"][1])
    network = MultiResSegmentor(backbone, head, MultiResFusion(attention), classes, size, **kwargs)
    load_checked(network, from_official(state), "the golden")
    return network.eval()
