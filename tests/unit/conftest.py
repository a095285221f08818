"""Networks small enough to run in milliseconds.

Imported where they are built: the process that deals tests out to others reads this file too, and needs no torch.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hrda_lit.networks.backbone import Backbone
    from hrda_lit.networks.multires import MultiResSegmentor
    from hrda_lit.networks.segmentor import SingleScaleSegmentor

OPTIONS = {"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)}


@pytest.fixture
def backbone() -> "Backbone":
    import torch

    from hrda_lit.networks.backbone import Backbone

    torch.manual_seed(0)
    return Backbone("mit_b0", options=OPTIONS)


@pytest.fixture
def multires(backbone: "Backbone") -> Callable[..., "MultiResSegmentor"]:
    """Return a builder of multi-resolution networks."""
    from hrda_lit.networks.detail_crop import DetailCrop
    from hrda_lit.networks.fusion import MultiResFusion
    from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
    from hrda_lit.networks.multires import MultiResSegmentor

    def build(detail: tuple[int, int] = (32, 32), **options: object) -> MultiResSegmentor:
        fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 3, 8))
        head = DAFormerHead(backbone.channels, 3, 8)
        return MultiResSegmentor(backbone, head, fusion, 3, DetailCrop(detail), **options)

    return build


@pytest.fixture
def single(backbone: "Backbone") -> "SingleScaleSegmentor":
    from hrda_lit.networks.heads import DAFormerHead
    from hrda_lit.networks.segmentor import SingleScaleSegmentor

    return SingleScaleSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), 3)


@pytest.fixture
def dead_process() -> int:
    """Return the number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
