"""Parameter groups and the schedule."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from hrda_lit import optim
from hrda_lit.methods.adversarial import Discriminator
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.optim import AdamPoly, AdamWLinear, AdamWPoly, SGDPoly, StudentOptim, linear_schedule, schedule
from hrda_lit.training.optimizer_pair import pair_optimizers
from hrda_lit.training.skipped_steps import skip_where


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


def test_momenta_may_be_whole_numbers(student: SingleScaleSegmentor) -> None:
    for chosen in (AdamWPoly(betas=[0, 0.99]), AdamWLinear(betas=(0, 0.99))):
        assert chosen.build(student, 4)[0].defaults["betas"] == (0, 0.99)
    assert AdamPoly(betas=[0, 0.99]).build(Discriminator(3, 4), 4)[0].defaults["betas"] == (0, 0.99)


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


@pytest.fixture
def _memory_without_a_value_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)  # fills what is not initialised
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("_memory_without_a_value_is_nan")
@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("fused", [False, True])  # the fused kernels are what a GPU takes
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("poly", [AdamWPoly(lr=0.1), SGDPoly(lr=0.1)], ids=["adamw", "sgd"])
def test_a_bad_first_step_leaves_no_state_behind(
    poly: StudentOptim, joined: bool, fused: bool, resumed: bool, monkeypatch: pytest.MonkeyPatch,
    student: SingleScaleSegmentor,
) -> None:  # fmt: skip
    """The next step is the first one, also of a run that is resumed in between and skips another one."""
    monkeypatch.setattr(optim, "_on_gpu", lambda _: fused)
    networks = [copy.deepcopy((student, Discriminator(3, 4))) for _ in range(2)]

    def build(index: int) -> torch.optim.Optimizer:
        learns, against = networks[index]
        made = poly.build(learns, 10)
        return (pair_optimizers(made, AdamPoly().build(against, 10)) if joined else made)[0]

    def step(index: int, optimizer: torch.optim.Optimizer, bad: bool) -> None:
        torch.manual_seed(0)
        for weight in (p for network in networks[index] for p in network.parameters()):
            weight.grad = torch.full_like(weight, torch.nan) if bad else torch.randn_like(weight)
        skip_where(optimizer, torch.tensor(bad))
        optimizer.step()

    for weights in zip(*(nn.ModuleList(pair).parameters() for pair in networks), strict=True):
        weights[1].data.copy_(weights[0])
    plain, skipping = build(0), build(1)
    step(1, skipping, bad=True)
    if resumed:
        state = copy.deepcopy(skipping.state_dict())
        skipping = build(1)
        skipping.load_state_dict(state)
        step(1, skipping, bad=True)
    for _ in range(2):
        step(0, plain, bad=False)
        step(1, skipping, bad=False)
    for a, b in zip(*(nn.ModuleList(pair).parameters() for pair in networks), strict=True):
        assert torch.equal(a, b)
        assert b.isfinite().all()
