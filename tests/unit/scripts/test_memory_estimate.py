"""The estimate against what a step really keeps."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hrda_lit.scripts.benchmarks.measure import GIB, Live
from hrda_lit.scripts.benchmarks.memory import OPTIONS, Estimate, Peak, Setting, describe, estimate
from hydra import compose, initialize_config_module

from hrda_lit.data.classes import Classes, classes_from
from hrda_lit.methods.base import Method, Networks
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.rng import generator
from hrda_lit.training.options import Memory
from tests.shapes import build

__all__ = ["build"]

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SIDE = 128
SETTING = Setting((SIDE, SIDE), 2)
Build = Callable[..., MultiResSegmentor]


@pytest.fixture(autouse=True)
def _one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrda_lit.ops.depthwise.goes_by_phases", lambda _: False)  # as on a GPU


@pytest.fixture
def classes() -> Classes:
    return classes_from({"names": ["road", "sky", "car"], "things": ["car"]})


def self_training(classes: Classes) -> Method:
    return SelfTraining(classes, lambda_fd=0.1)


def measured(build: Build, method: Method) -> dict[str, tuple[int, int, int]]:
    """What the graphs of real passes save, by hooks, and what is alive after them and at most on the way back."""
    student = build("cpu", SIDE).train()
    teacher, imagenet = copy.deepcopy(student), copy.deepcopy(student.backbone).eval()
    networks = Networks(student, teacher.requires_grad_(False), imagenet.requires_grad_(False))
    saved: dict[int, torch.UntypedStorage] = {}
    weights = {x.untyped_storage()._cdata for x in (*student.parameters(), *student.buffers())}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage
        return tensor

    found = {}
    with Live() as live, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        image, label = torch.zeros(2, 3, SIDE, SIDE), torch.zeros(2, SIDE, SIDE, dtype=torch.long)
        target = {"image": torch.zeros_like(image), "valid": torch.ones(2, SIDE, SIDE)} if method.needs_target else {}
        batch = {"source": {"image": image, "label": label}, "target": target}
        drawn = method.draw(student, image.shape, generator(0))
        for done in method.passes(batch, networks, drawn):
            kept, by_hooks = live.now, sum(storage.nbytes() for storage in saved.values())
            saved.clear()
            live.restart()
            done.loss.backward()
            found[done.name] = (by_hooks, kept, live.peak)
            del done
            saved.clear()
    return found


def estimated(build: Build, method: Method, memory: Memory = Memory(), setting: Setting = SETTING) -> Estimate:  # noqa: B008
    return estimate(build("meta", SIDE), method, memory, setting)


@pytest.mark.parametrize("make", [self_training, Supervised])
def test_the_estimate_is_what_a_real_step_keeps(build: Build, classes: Classes, make: Callable[..., Method]) -> None:
    told, real = estimated(build, make(classes)), measured(build, make(classes))
    assert told.passes.keys() == real.keys()
    for name, (_, kept, peak) in real.items():
        assert told.passes[name].kept == pytest.approx(kept, rel=0.05)
        assert told.passes[name].backward == pytest.approx(peak, rel=0.05)
    images = 2 * SIDE * SIDE * (3 * 4 + 8)
    by_hooks, kept, _ = real["source"]
    assert by_hooks < kept < 1.2 * (by_hooks + images), "what the graph saves is nearly all that is kept"
    student = build("cpu", SIDE)
    size = sum(p.numel() * 4 for p in student.parameters())
    assert told.moments == 2 * size
    networks = 1 if make is Supervised else 2
    assert networks * size < told.weights < (networks + 1) * 1.01 * size


def test_each_rung_needs_less(build: Build, classes: Classes) -> None:
    def supervised(memory: Memory) -> Peak:
        return estimated(build, Supervised(classes), memory).passes["source"]

    full = supervised(Memory())
    assert supervised(Memory(encoder="recompute")).backward < 0.85 * full.backward
    assert supervised(Memory(heads="recompute")).backward < 0.95 * full.backward
    assert supervised(Memory(rows=8)).kept < full.kept


def test_a_teacher_labels_with_less(build: Build, classes: Classes) -> None:
    small = Memory("recompute", "recompute", windows=6, rows=8, imagenet="bfloat16")
    whole, windows = (
        estimated(build, self_training(classes), one) for one in (replace(small, windows=None, imagenet="full"), small)
    )
    assert windows.passes["mixed"].forward < 0.8 * whole.passes["mixed"].forward
    encoder = sum(p.numel() * 4 for p in build("meta", SIDE).backbone.parameters())
    assert whole.weights - windows.weights == pytest.approx(encoder / 2, rel=0.01)


def test_mixed_precision_and_large_batches_are_told(build: Build, classes: Classes) -> None:
    full = estimated(build, Supervised(classes))
    half = estimated(build, Supervised(classes), setting=SETTING._replace(autocast=torch.bfloat16, accumulate=3))
    assert 0.4 * full.activations < half.activations < 0.85 * full.activations
    assert half.batches == 2 * 2 * SIDE * SIDE * (3 * 4 + 8)


def test_the_small_choice_is_that_of_the_config() -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", ["memory=small", "run_dir=run", "cache_dir=cache"])
    assert Memory(**config.memory) == OPTIONS["small"]


def test_what_a_step_needs_is_described() -> None:
    sentence = describe(Estimate(GIB, 3 * GIB // 2, {"source": Peak(0, 2 * GIB, GIB)}))
    assert sentence == "weights 1.00, moments 1.5, and at most 2.0 GiB in a pass (source 2.0)"
