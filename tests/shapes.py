"""Networks that have a shape alone."""

from collections.abc import Callable

import pytest
import torch

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor

OPTIONS = {"embed_dims": (16, 32, 40, 64), "depths": (1, 1, 2, 1), "drop_path_rate": 0.1}


@pytest.fixture
def build() -> Callable[..., MultiResSegmentor]:
    def make(device: str = "cpu", side: int = 64) -> MultiResSegmentor:
        torch.manual_seed(0)
        with torch.device(device):
            backbone = Backbone("mit_b0", options=OPTIONS)
            fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 3, 16))
            head = DAFormerHead(backbone.channels, 3, 16)
            return MultiResSegmentor(backbone, head, fusion, 3, DetailCrop((side // 2, side // 2)))

    return make
