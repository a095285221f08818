"""Each rung of the memory ladder against the plain step: the same losses, gradients and statistics."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from hrda_lit.data.classes import Classes, classes_from
from hrda_lit.methods.base import Batch, Method, Networks
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.memory_saving import Recomputed
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.logits import rows_at_once
from hrda_lit.training.options import Memory
from tests.passes import crops, steps

pytestmark = pytest.mark.slow

ALL = Memory("recompute", "recompute", windows=3, rows=16)
Build = Callable[..., MultiResSegmentor]


@pytest.fixture
def classes() -> Classes:
    return classes_from({"names": ["road", "sky", "car"], "things": ["car"]})


@pytest.fixture
def batch() -> Batch:
    return crops("rungs")


def mic(classes: Classes) -> Method:
    return SelfTraining(classes, Labeller(0.34), lambda_fd=0.1, masked=MaskedConsistency(block=16))


def learn(build: Build, method: Method, memory: Memory, batch: Batch) -> dict[str, Any]:
    """Everything that a step leaves: losses, gradients, statistics and the state of the dropout's generator."""
    student = build().train()
    teacher = copy.deepcopy(student).requires_grad_(False)
    imagenet = copy.deepcopy(student.backbone).eval().requires_grad_(False)
    memory.apply_to(student, teacher, imagenet)
    for parameter in student.backbone.parameters():
        parameter.data.mul_(1.1)
    torch.manual_seed(1)
    left: dict[str, Any] = {}
    with rows_at_once(memory.rows):
        for done in steps(method, batch, Networks(student, teacher, imagenet)):
            done.loss.backward()
            left |= {name: float(value) for name, value in done.logs.items()}
            left |= {f"label/{name}": crops.label for name, crops in done.crops.items()}
    left |= {f"gradient/{name}": parameter.grad for name, parameter in student.named_parameters()}
    left |= {f"student/{name}": buffer for name, buffer in student.named_buffers()}
    left |= {f"teacher/{name}": buffer for name, buffer in teacher.named_buffers()}
    return left | {"next draw": torch.rand(3)}


@pytest.mark.parametrize("make", [mic, Supervised])
@pytest.mark.parametrize(
    "memory",
    [
        Memory(encoder="recompute"),
        Memory(heads="recompute"),
        Memory(windows=3),
        Memory(windows=5),
        Memory(rows=8),
        ALL,
    ],
    ids=lambda memory: ",".join(f"{k}" for k, v in vars(memory).items() if v != getattr(Memory(), k)),
)
def test_a_rung_changes_no_number(
    build: Build, classes: Classes, batch: Batch, make: Callable[..., Method], memory: Memory
) -> None:
    plain, light = (learn(build, make(classes), one, batch) for one in (Memory(), memory))
    assert plain.keys() == light.keys()
    exact = memory in (Memory(encoder="recompute"), Memory(heads="recompute"))
    for key, value in plain.items():
        if value is not None:
            scale = float(torch.as_tensor(value).abs().max())
            close = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-5 * scale + 1e-8}
            torch.testing.assert_close(light[key], value, **close, msg=lambda told, key=key: f"{key}: {told}")


@pytest.mark.parametrize("memory", [Memory(imagenet="bfloat16"), Memory(teacher="bfloat16")])
def test_sixteen_bits_change_the_numbers_a_little(build: Build, classes: Classes, batch: Batch, memory: Memory) -> None:
    plain, light = (learn(build, mic(classes), one, batch) for one in (Memory(), memory))
    assert plain["loss/feature_distance"] > 0
    assert any(plain[key] != light[key] for key in ("loss/feature_distance", "pseudo/q", "loss/mixed"))
    for key in ("loss/source", "loss/feature_distance", "loss/mixed"):
        assert light[key] == pytest.approx(plain[key], rel=0.05)


def test_the_teacher_and_the_frozen_encoder_keep_little(build: Build) -> None:
    student, teacher = build(), build()
    imagenet = copy.deepcopy(student.backbone).eval()
    replace(ALL, imagenet="bfloat16", teacher="bfloat16").apply_to(student, teacher, imagenet)
    assert sum(isinstance(part, Recomputed) for part in student.modules()) == 5 + 2
    assert student.windows_at_once == teacher.windows_at_once == 3
    assert {weight.dtype for weight in imagenet.parameters()} == {torch.bfloat16}
    image = torch.randn(1, 3, 64, 64)
    assert imagenet(image)[-1].dtype == teacher.views(image)["fused"].dtype == torch.bfloat16
    assert {weight.dtype for weight in teacher.parameters()} == {torch.float32}
    assert isinstance(teacher, type(student))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="rows=0: expected"):
        Memory(rows=0)
