"""Which runner is chosen, and the sentence that says so."""

import logging
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins import DoublePrecision, MixedPrecision

from hrda_lit.training.choose_runner import choose_runner
from hrda_lit.training.memory_options import SMALL, Memory
from hrda_lit.training.step_runner import CompiledRunner, GraphRunner, StepRunner
from tests.speed import fit, module, student
from tests.tape import Tapes

pytestmark = pytest.mark.slow

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("speed", "device", "obstacle", "kind", "sentence"),
    [
        ("auto", CPU, None, StepRunner, "speed: eager, because the device is a CPU and no CUDA device"),
        ("auto", CUDA, None, GraphRunner, "speed: graphs over compiled regions, the first step takes longer"),
        ("auto", CUDA, "it rains", StepRunner, "speed: eager, because it rains"),
        ("eager", CUDA, None, StepRunner, "speed: eager"),
        ("compiled", CPU, None, CompiledRunner, "speed: compiled, the first step takes longer"),
        ("compiled", CUDA, "it rains", CompiledRunner, "speed: compiled, the first step takes longer"),
        ("graphs", CUDA, None, GraphRunner, "speed: graphs over compiled regions, the first step takes longer"),
        ("graphs", CPU, None, CompiledRunner,
         "speed=graphs, but the device is a CPU and no CUDA device; steps run one by one, with compiled regions"),
        ("graphs", CUDA, "it rains", CompiledRunner, "speed=graphs, but it rains; steps run one by one, with compiled "
         "regions"),
    ],
)  # fmt: skip
def test_choice(
    speed: Any, device: torch.device, obstacle: str | None, kind: type[StepRunner], sentence: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("hrda_lit.training.choose_runner.CudaGraphs", Tapes)
    with caplog.at_level(logging.INFO):
        runner = choose_runner(speed, [student("hrda")], ("source",), device, obstacle)
    assert type(runner) is kind
    assert [record.getMessage() for record in caplog.records if record.name.startswith("hrda_lit")] == [sentence]


def obstacle(memory: Memory | None = None, **options: Any) -> str | None:
    made = module("supervised", "daformer", memory)
    made.trainer = L.Trainer(accelerator="cpu", logger=False, **options)
    return made._obstacle()


def test_obstacles() -> None:
    assert obstacle() is None
    assert obstacle(precision="bf16-mixed") is None
    scaler = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    assert obstacle(plugins=[scaler]) == "the scale of losses changes from step to step with precision=16-mixed"
    assert obstacle(plugins=[DoublePrecision()]) == "precision=64-true is not known to work with graphs"
    recomputes = "what memory.encoder or memory.heads recomputes must draw the same again, which no graph can"
    assert obstacle(SMALL) == obstacle(Memory(heads="recompute")) == recomputes
    assert obstacle(Memory(windows=3, rows=16)) is None
    assert obstacle(devices=2) == "several devices exchange gradients amid a step"


def test_a_run_says_once_what_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    made = module("supervised", "daformer")
    with caplog.at_level(logging.INFO):
        fit(made, 2)
    told = [record.getMessage() for record in caplog.records if record.name == "hrda_lit.training.choose_runner"]
    assert told == ["speed: eager, because the device is a CPU and no CUDA device"]
    assert type(made.runner) is StepRunner
