"""Parameter groups and the schedule."""

import pytest
import torch
from torch import nn

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.optim import AdamWLinear, AdamWPoly, SGDPoly, linear_schedule, schedule


@pytest.fixture(scope="module")
def student() -> SingleScaleSegmentor:
    backbone = Backbone("mit_b0", options={"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)})
    return SingleScaleSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), 3)


def test_groups_hold_every_parameter_once(student: SingleScaleSegmentor) -> None:
    optimizer, _ = AdamWPoly().build(student, 100)
    ours = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(ours) == len(set(ours))
    assert set(ours) == {id(p) for p in student.parameters()}


def test_groups(student: SingleScaleSegmentor) -> None:
    optimizer, _ = AdamWPoly(lr=1e-4, head_factor=7, weight_decay=0.03, warmup=0).build(student, 100)
    names = {id(p): name for name, p in student.named_parameters()}
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert {k: (g["lr"], g["weight_decay"]) for k, g in groups.items()} == {
        "backbone": (1e-4, 0.03), "norm": (1e-4, 0), "head": (pytest.approx(7e-4), 0.03)
    }  # fmt: skip
    for kind, group in groups.items():
        for name in (names[id(p)] for p in group["params"]):
            assert name.startswith("head.") == (kind == "head"), name
            assert kind == "head" or ("norm" in name) == (kind == "norm"), name
    assert any("bias" in names[id(p)] for p in groups["backbone"]["params"]), "biases keep their weight decay"


def test_layer_scale_and_batch_norm_of_a_residual_network() -> None:
    backbone = Backbone("resnet10t")
    network = SingleScaleSegmentor(backbone, DAFormerHead(backbone.channels, 3, 8), 3)
    optimizer, _ = AdamWPoly().build(network, 10)
    assert [group["name"] for group in optimizer.param_groups] == ["backbone", "head"], "no empty group"


@pytest.mark.parametrize(
    ("step", "lr"),
    [
        (0, 6.0e-11),
        (49, 1.9577e-6),
        (99, 3.9503e-6),
        (750, 2.9438e-5),
        (1500, 5.775e-5),
        (20000, 3e-5),
        (39999, 1.5e-9),
    ],
)
def test_published_learning_rates(step: int, lr: float) -> None:
    assert 6e-5 * schedule(step, 40000, 1500) == pytest.approx(lr, rel=1e-4)


def test_schedule_without_warm_up_is_the_polynomial() -> None:
    assert [schedule(t, 10, 0, power=2) for t in (0, 5, 10, 12)] == [1, 0.25, 0, 0]


def test_warm_up_is_continuous_and_rises() -> None:
    shares = [schedule(t, 1000, 10) for t in range(12)]
    assert shares[:10] == sorted(shares[:10])
    assert shares[10] == 1 - 10 / 1000
    assert shares[9] < shares[10]


def test_scheduler_drives_all_groups(student: SingleScaleSegmentor) -> None:
    optimizer, scheduler = AdamWPoly(lr=1.0, head_factor=10, warmup=0).build(student, 4)
    rates = []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert rates == [[pytest.approx(share * f) for f in (1, 1, 10)] for share in (1, 0.75, 0.5, 0.25, 0)]


def test_frozen_parameters_do_not_move(student: SingleScaleSegmentor) -> None:
    optimizer, _ = AdamWPoly(lr=0.1, warmup=0).build(student, 4)
    before = [p.detach().clone() for p in student.parameters()]
    optimizer.step()  # no gradients: neither steps nor weight decay
    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lr": 0}, "lr=0: expected"),
        ({"head_factor": -1}, "head_factor=-1: expected"),
        ({"warmup": -1}, "warmup=-1: expected"),
        ({"clip": 0}, "clip=0: expected"),
    ],
)
def test_out_of_range_arguments(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AdamWPoly(**options)


def test_sgd_looks_at_the_same_numbers() -> None:
    for options in ({"lr": 0}, {"warmup": -1}, {"clip": 0}):
        with pytest.raises(ValueError, match="expected"):
            SGDPoly(**options)


def test_only_networks_are_optimised() -> None:
    with pytest.raises(AssertionError):
        AdamWPoly().build(nn.Linear(1, 1), 1)


@pytest.mark.parametrize(
    ("step", "share"), [(0, 1e-3), (750, 0.5005), (1500, 1), (20750, 0.5), (39999, 1 / 38500), (40000, 0)]
)
def test_a_linear_schedule(student: SingleScaleSegmentor, step: int, share: float) -> None:
    optim = AdamWLinear(lr=2e-5)
    assert optim.share(step, 40000) == pytest.approx(share)
    optimizer, _ = optim.build(student, 40000)
    rates = {g["name"]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups}
    assert rates == {
        name: (pytest.approx(lr), 0.01) for name, lr in (("backbone", 2e-8), ("norm", 2e-8), ("head", 2e-7))
    }


def test_a_linear_schedule_without_warm_up() -> None:
    assert [linear_schedule(step, 4, 0, 1e-3) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert linear_schedule(3, 2, 4, 0.5) == pytest.approx(0.875)
