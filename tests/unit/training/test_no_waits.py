"""A whole training step, Lightning's loop and the bar included, asks no tensor for a number where none is logged."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest

from hrda_lit.module import UDAModule
from hrda_lit.runs.console import Progress
from hrda_lit.training.health import HealthWarnings
from hrda_lit.training.run_facts import RunFacts
from tests.waits import Waits, as_on_a_gpu

pytestmark = pytest.mark.slow

Make, Fit = Callable[..., UDAModule], Callable[..., L.Trainer]


class Steps(L.Callback):
    """Note what each step waits for, from before its start to after its end."""

    def __init__(self, waits: Waits) -> None:
        self.waits, self.by_step = waits, dict[int, list[str]]()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.by_step[trainer.global_step] = self.waits.found = []


def waits_of(module: UDAModule, fit: Fit, *callbacks: L.Callback, **options: Any) -> dict[int, list[str]]:
    draw, waits = module.method.draw, Waits()

    def drawn(*args: Any) -> Any:
        with waits.off():  # on the CPU by design
            return draw(*args)

    module.method.draw = drawn  # type: ignore[method-assign]

    steps = Steps(waits)
    with waits:
        fit(module, 6, *callbacks, steps, log_every_n_steps=3, **options)
    return steps.by_step


@pytest.mark.parametrize("clip", [None, 0.5])
def test_only_logged_steps_wait(make_module: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch, clip: float) -> None:
    as_on_a_gpu(monkeypatch)
    bar = Progress(refresh_rate=5)
    monkeypatch.setattr(bar, "_in_terminal", True)  # as in a terminal
    found = waits_of(make_module(clip=clip), fit, bar, RunFacts(), HealthWarnings(), enable_progress_bar=True)
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert {step: names for step, names in found.items() if names and step not in (2, 5)} == {}
    assert found[2], "a logged step reads what it logs, so that the test can see a wait"
