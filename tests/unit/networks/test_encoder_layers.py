"""Stochastic depth against timm's."""

import copy

import pytest
import timm
import torch
from torch import nn

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.encoder_layers import DropPath

SMALL = {"embed_dims": (8, 16, 20, 32), "depths": (2, 2, 2, 2)}


def test_whole_samples_are_dropped_and_the_others_scaled() -> None:
    torch.manual_seed(0)
    made = DropPath(0.25)(torch.ones(4000, 2, 3))
    assert torch.equal(made, made[:, :1, :1].expand(-1, 2, 3))
    kept = made[:, 0, 0] > 0
    torch.testing.assert_close(made[kept], torch.full_like(made[kept], 1 / 0.75))
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)  # more than four standard deviations


def test_nothing_is_dropped_outside_training() -> None:
    x = torch.rand(8, 3)
    assert DropPath(0.9).eval()(x) is x


def test_rates_and_keys_are_those_of_timm() -> None:
    options = {**SMALL, "drop_path_rate": 0.1}
    ours, timms = Backbone("mit_b0", options=options), timm.create_model("mit_b0", features_only=True, **options)
    rates = [[m.drop_prob for m in model.modules() if hasattr(m, "drop_prob")] for model in (ours, timms)]
    assert rates[0] == [rate for rate in rates[1] if rate]
    assert ours.model.state_dict().keys() == timms.state_dict().keys()


def test_probability_follows_to_another_dtype_and_copy() -> None:
    network = nn.Sequential(DropPath(0.5))
    twin = copy.deepcopy(network).double()
    assert twin(torch.ones(64, 1).double()).unique().tolist() in ([0.0, 2.0], [2.0, 0.0])
    assert not twin.state_dict()
