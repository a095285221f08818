"""A batch and networks small enough to run in milliseconds."""

import copy
from collections.abc import Callable

import pytest
import torch

from hrda_lit.data.classes import Classes, classes_from
from hrda_lit.methods.base import Batch, Networks
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from tests.passes import crops


@pytest.fixture
def classes() -> Classes:
    return classes_from({"names": ["road", "sky", "car"], "things": ["car"]})


@pytest.fixture
def batch() -> Batch:
    batch = crops("batch")
    batch["target"]["valid"][:, -10:] = 0
    return batch


@pytest.fixture
def networks() -> Networks:
    torch.manual_seed(0)
    backbone = Backbone("mit_b0", options={"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)})
    fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 3, 8))
    student = MultiResSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), fusion, 3, DetailCrop((32, 32)))
    teacher, imagenet = copy.deepcopy(student).requires_grad_(False), copy.deepcopy(backbone)
    for parameter in student.backbone.parameters():
        parameter.data.mul_(1.1)  # so that the features have moved from ImageNet's
    return Networks(student, teacher, imagenet.eval().requires_grad_(False))


@pytest.fixture
def gradients() -> Callable[[torch.nn.Module], torch.Tensor]:
    def collect(network: torch.nn.Module) -> torch.Tensor:
        return torch.cat([(p.grad if p.grad is not None else 0 * p).flatten() for p in network.parameters()])

    return collect
