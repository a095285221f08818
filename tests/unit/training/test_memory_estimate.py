"""The estimate against what a step really keeps, and what is said of it."""

import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hrda_lit import build as builders
from hrda_lit.config.nodes import ConfigError
from hrda_lit.data.classes import Classes, classes_from
from hrda_lit.methods.base import Method, Networks
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.rng import generator
from hrda_lit.runs.memory_check import check_memory, refusal
from hrda_lit.training.live_memory import Live
from hrda_lit.training.memory_estimate import GIB, Estimate, Peak, Setting, estimate
from hrda_lit.training.memory_options import Memory
from tests.end_to_end.compose import smoke

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

SIDE = 128
SETTING = Setting((SIDE, SIDE), 2)
Build = Callable[..., MultiResSegmentor]


@pytest.fixture
def classes() -> Classes:
    return classes_from({"names": ["road", "sky", "car"], "things": ["car"]})


def self_training(classes: Classes) -> Method:
    return SelfTraining(classes, lambda_fd=0.1)


def measured(build: Build, method: Method) -> dict[str, tuple[int, int, int]]:
    """What the graphs of real passes save, by hooks, and what is alive after them and at most on the way back."""
    student = build("cpu", SIDE).train()
    Memory().lighten(student, method)
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
    student = build("meta", SIDE)
    memory.lighten(student, method)
    return estimate(student, method, setting)


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


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return smoke(tmp_path / "run", tmp_path, "source_only_demo", "memory.check=true")


@pytest.mark.parametrize(("free", "refused"), [(GIB // 4, True), (2 * GIB, False)])
def test_what_a_gpu_has_no_room_for_is_refused(
    config: Any, monkeypatch: pytest.MonkeyPatch, free: int, refused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config.trainer.accelerator = "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 8 * GIB))
    classes = builders.build_dataset(config.source, "source").classes
    if not refused:
        check_memory(config, classes)
        assert "a step needs about 0.0" in caplog.text
        return
    with pytest.raises(ConfigError) as caught:
        check_memory(config, classes)
    assert "but cuda:0 has 0.25 of 8.0 free" in str(caught.value)
    config.memory.check = False
    check_memory(config, classes)


def test_the_refusal_names_the_keys_that_help() -> None:
    needed, small = (Estimate(GIB, GIB, {"source": Peak(0, 0, size * GIB)}) for size in (9, 4))
    sentence = refusal(needed, small, 8 * GIB, 12 * GIB, "cuda:1")
    assert sentence.startswith("a step needs about 11.5 GiB, but cuda:1 has 8.0 of 12.0 free; set memory=small, which ")
    assert "needs 6.5" in sentence
    for key in ("loading.batch_size", "loading.accumulate", "trainer.precision=bf16-mixed", "memory.check=false"):
        assert key in sentence
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert "\n" not in sentence
    assert "memory=small" not in refusal(small, small, 0, GIB, "cuda:0")


def test_rows_that_do_not_fit_are_refused_before_data_are_read(tmp_path: Path) -> None:
    config = smoke(tmp_path / "run", tmp_path, "daformer_demo", "memory.check=true", "memory.rows=32", "s_T=1")
    config.data.crop = [130, 128]
    with pytest.raises(ValueError, match=r"memory\.rows=32; set memory\.rows=null"):
        check_memory(config, builders.build_dataset(config.source, "source").classes)


def test_what_cannot_be_estimated_is_told_and_trained(
    config: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("an operator\nthat asks")

    monkeypatch.setattr("hrda_lit.runs.memory_check.estimate", fail)
    check_memory(config, builders.build_dataset(config.source, "source").classes)
    assert "cannot be estimated (an operator that asks)" in caplog.text
