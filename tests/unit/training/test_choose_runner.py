"""Which runner is chosen, and the sentence that says so."""

import logging
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins import DoublePrecision, MixedPrecision

from hrda_lit.training.graph_runner import GraphRunner
from hrda_lit.training.options import Memory, StepOptions, choose_runner, obstacle_to_graphs
from hrda_lit.training.step_runner import CompiledRunner, StepRunner
from tests.speed import fit, module, student
from tests.tape import Tapes

pytestmark = pytest.mark.slow

EAGER, COMPILED, GRAPHS = (
    "speed: eager",
    "speed: compiled, the first step takes longer",
    "speed: graphs over compiled regions, the first step takes longer",
)


@pytest.mark.parametrize(
    ("speed", "obstacle", "kind", "sentence"),
    [
        ("auto", None, StepRunner, EAGER),
        ("eager", None, StepRunner, EAGER),
        ("compiled", None, CompiledRunner, COMPILED),
        ("compiled", "it rains", CompiledRunner, COMPILED),
        ("graphs", None, GraphRunner, GRAPHS),
        ("graphs", "it rains", CompiledRunner,
         "speed=graphs, but it rains; steps run one by one, with compiled regions"),
    ],
)  # fmt: skip
def test_choice(
    speed: Any, obstacle: str | None, kind: type[StepRunner], sentence: str,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("hrda_lit.training.options.CudaGraphs", Tapes)
    monkeypatch.setattr("hrda_lit.training.options.obstacle_to_graphs", lambda *_: obstacle)
    options = StepOptions(speed=speed)
    with caplog.at_level(logging.INFO):
        runner = choose_runner(options, [student("hrda")], ("source",), L.Trainer(accelerator="cpu", logger=False))
    assert type(runner) is kind
    assert [record.getMessage() for record in caplog.records if record.name.startswith("hrda_lit")] == [sentence]


def obstacle(memory: Memory | None = None, on: str = "cuda", **options: Any) -> str | None:
    trainer: Any = L.Trainer(accelerator="cpu", logger=False, **options)
    seen = SimpleNamespace(
        precision_plugin=trainer.precision_plugin,
        world_size=trainer.world_size,
        strategy=SimpleNamespace(root_device=torch.device(on)),
    )
    return obstacle_to_graphs(StepOptions(memory=memory or Memory()), seen)  # type: ignore[arg-type]


def test_obstacles() -> None:
    assert obstacle() is None
    assert obstacle(precision="bf16-mixed") is None
    assert obstacle(Memory(windows=3, rows=16)) is None
    scaler = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    for found, words in (
        (obstacle(on="cpu"), "not a CUDA device"),
        (obstacle(plugins=[scaler]), "the loss scale changes"),
        (obstacle(plugins=[DoublePrecision()]), "trainer.precision=64-true"),
        (obstacle(Memory(encoder="recompute")), "memory.encoder or memory.heads"),
        (obstacle(Memory(heads="recompute")), "memory.encoder or memory.heads"),
        (obstacle(devices=2), "several devices"),
    ):
        assert found is not None
        assert words in found


def test_a_run_says_once_what_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    made = module("supervised", "daformer")
    with caplog.at_level(logging.INFO):
        fit(made, 2)
    told = [record.getMessage() for record in caplog.records if record.name == "hrda_lit.training.options"]
    assert told == [EAGER]
    assert type(made.runner) is StepRunner
