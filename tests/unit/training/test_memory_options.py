"""Each rung of the memory ladder against the plain step: the same losses, gradients and statistics."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module

from hrda_lit.build import build_memory
from hrda_lit.data.classes import Classes, classes_from
from hrda_lit.methods.base import Batch, Method, Networks
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.recompute import Recomputed
from hrda_lit.training import memory_options
from hrda_lit.training.memory_options import Memory
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
    return SelfTraining(classes, tau=0.34, lambda_fd=0.1, masked=MaskedConsistency(block=16))


def learn(build: Build, method: Method, memory: Memory, batch: Batch) -> dict[str, Any]:
    """Everything that a step leaves: losses, gradients, statistics and the state of the dropout's generator."""
    student = build().train()
    memory.lighten(student, method)
    teacher = copy.deepcopy(student).requires_grad_(False)
    imagenet = copy.deepcopy(student.backbone).eval().requires_grad_(False).to(dtype=method.imagenet_in)
    for parameter in student.backbone.parameters():
        parameter.data.mul_(1.1)
    torch.manual_seed(1)
    left: dict[str, Any] = {}
    for done in steps(method, batch, Networks(student, teacher, imagenet)):
        done.loss.backward()
        left |= {name: float(value) for name, value in done.logs.items()}
        left |= {f"label/{name}": seen.label for name, seen in done.seen.items()}
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


def test_the_teacher_and_the_frozen_encoder_keep_little(build: Build, classes: Classes) -> None:
    student, method = build(), mic(classes)
    replace(ALL, imagenet="bfloat16").lighten(student, method)
    assert sum(isinstance(part, Recomputed) for part in student.modules()) == 5 + 2
    assert student.at_once == 3
    assert (method.rows, method.imagenet_in, method.labels_in) == (16, torch.bfloat16, None)


def test_the_small_choice_is_the_one_that_refusals_name() -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", ["memory=small", "run_dir=run", "cache_dir=cache"])
    assert build_memory(config) == memory_options.SMALL


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"memory\.rows"):
        Memory(rows=0)
