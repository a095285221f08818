"""When a run is saved, which file is best, and what is never saved."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from hrda_lit.optim import schedule
from hrda_lit.runs.checkpoint import Checkpoint, refuse_non_finite
from hrda_lit.runs.restore import between_steps, renew_rates
from hrda_lit.system.signals import Stopped, watch


class Saves:
    """As much of a Trainer as the callback needs; files hold the step."""

    max_steps, world_size, is_global_zero, sanity_checking = 100, 1, True, False
    callbacks: tuple[L.Callback, ...] = ()
    val_check_batch: float = 10
    val_dataloaders: tuple[object, ...] = ()

    def __init__(self) -> None:
        self.global_step, self.callback_metrics = 0, dict[str, float]()
        self.strategy = SimpleNamespace(reduce_boolean_decision=lambda flag, all: flag, broadcast=lambda value: value)
        self.lightning_module, self.state = SimpleNamespace(scored=None), SimpleNamespace(fn="fit")
        self.writes = 0

    def save_checkpoint(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(str(self.global_step))
        self.writes += 1

    def validate(self, saver: Any, value: float) -> None:
        saver.on_validation_start(self, None)
        self.lightning_module.scored, self.callback_metrics["val/miou"] = self.global_step, value
        saver.on_validation_end(self, None)


def step(trainer: Saves, saver: Any, count: int = 1) -> None:
    for _ in range(count):
        saver.on_train_batch_start(trainer, None, None, 0)
        trainer.global_step += 1
        saver.on_train_batch_end(trainer, None, None, None, 0)


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_step_is_saved_once_before_and_once_after_its_validation(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 2)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    step(trainer, saver, 2)
    assert trainer.writes == 0
    trainer.validate(saver, 0.5)
    assert trainer.writes == 2
    step(trainer, saver, 2)
    assert trainer.writes == 2
    step(trainer, saver, 1)
    assert trainer.writes == 3
    saver.on_train_end(trainer, None)  # type: ignore[arg-type]
    assert texts(tmp_path) == {"best.ckpt": "2", "last.ckpt": "5"}


@pytest.mark.parametrize(("mode", "wanted"), [("max", "2"), ("min", "3")])
def test_the_best_is_chosen_by_one_number(mode: str, wanted: str, tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 10, mode=mode)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    for value in (0.3, 0.5, 0.1, math.nan, 0.2):
        step(trainer, saver)
        trainer.validate(saver, value)
    assert texts(tmp_path) == {"best.ckpt": wanted, "last.ckpt": "5"}


def test_a_number_without_labels_can_choose_the_best(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 1, best="target/entropy", mode="min")
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    for value in (0.3, 0.1, 0.2, 0.4):
        step(trainer, saver)
        trainer.callback_metrics["target/entropy"] = value
    saver.on_train_end(trainer, None)  # type: ignore[arg-type]
    assert texts(tmp_path) == {"best.ckpt": "2", "last.ckpt": "4"}


def test_a_best_that_is_never_logged_is_named(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 1, best="target/entropie")
    trainer.callback_metrics["target/entropy"] = 1.0
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    step(trainer, saver)
    with pytest.warns(UserWarning, match=r"target/entropie was not logged, choose one of \['target/entropy'\]"):
        saver.on_train_end(trainer, None)  # type: ignore[arg-type]


def test_without_a_best_there_is_one_file(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 10, best=None)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    step(trainer, saver)
    trainer.validate(saver, 0.5)
    assert texts(tmp_path) == {"last.ckpt": "1"}


def test_the_clock_saves_too(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 1000, every_minutes=1e-9)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    step(trainer, saver, 3)
    assert texts(tmp_path) == {"last.ckpt": "2"}


def test_a_signal_saves_and_stops_between_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 1000)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    step(trainer, saver, 3)
    monkeypatch.setattr(watch, "received", 15)
    with pytest.raises(Stopped, match=r"SIGTERM stopped the run after step 3, saved in .*last\.ckpt"):
        step(trainer, saver)
    assert texts(tmp_path) == {"last.ckpt": "3"}


def test_a_signal_to_another_process_stops_this_one(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 1000)
    trainer.strategy.reduce_boolean_decision = lambda flag, all: True
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    trainer.global_step = 4
    with pytest.raises(Stopped, match="after step 4"):
        step(trainer, saver)


def test_the_last_step_is_validated_whatever_the_interval(tmp_path: Path) -> None:
    trainer, saver = Saves(), Checkpoint(str(tmp_path), 1000)
    trainer.max_steps = 3
    step(trainer, saver, 2)
    assert trainer.val_check_batch == 10
    step(trainer, saver)
    assert trainer.val_check_batch == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    state = {"student.a": torch.zeros(3), "student.b": torch.tensor([1.0, value]), "count": torch.tensor(3)}
    with pytest.raises(FloatingPointError, match=r"1 weights are not finite after step 7, such as student.b"):
        refuse_non_finite(state, 7, tmp_path)
    refuse_non_finite({**state, "student.b": torch.ones(2)}, 7, tmp_path)


def test_new_rates_take_effect_and_the_schedule_goes_on_without_a_step_of_rate_zero() -> None:
    def build(lr: float, total: int) -> tuple[Any, Any]:
        weight = nn.Parameter(torch.ones(2))
        optimizer = torch.optim.AdamW([{"params": [weight], "lr": lr, "name": "head"}], weight_decay=lr)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: schedule(t, total, 0))

    optimizer, scheduler = build(0.1, 4)
    for _ in range(4):
        optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0
    saved = {"optimizer_states": [optimizer.state_dict()], "lr_schedulers": [scheduler.state_dict()]}
    longer, schedule_ = build(0.2, 8)
    renew_rates(saved, *build(0.2, 8), 4)
    longer.load_state_dict(saved["optimizer_states"][0])
    schedule_.load_state_dict(saved["lr_schedulers"][0])
    rates = []
    for _ in range(4):
        rates.append(longer.param_groups[0]["lr"])
        longer.step()
        schedule_.step()
    assert rates == pytest.approx([0.2 * (1 - t / 8) for t in range(4, 8)])
    assert longer.param_groups[0]["weight_decay"] == 0.2


def test_counters_say_that_a_step_is_over_and_whether_its_validation_is() -> None:
    def counters() -> dict[str, int]:
        return dict.fromkeys(("ready", "started", "processed", "completed"), 99)

    names = ("epoch_progress", "epoch_loop.batch_progress", "epoch_loop.val_loop.batch_progress")
    loop: dict[str, Any] = {name: {"total": counters(), "current": counters()} for name in names}
    only = {"ready": 0, "completed": 0}
    loop["epoch_loop.manual_optimization.optim_step_progress"] = {"total": dict(only), "current": dict(only)}
    loop["epoch_loop.state_dict"] = {"_batches_that_stepped": 99}
    between_steps(loop, 6, due=True, pending=True)
    assert loop["epoch_loop.batch_progress"]["total"] == dict.fromkeys(counters(), 6)
    assert loop["epoch_loop.manual_optimization.optim_step_progress"]["total"] == {"ready": 6, "completed": 6}
    assert loop["epoch_loop.val_loop.batch_progress"]["total"]["ready"] == 1
    assert loop["epoch_loop.state_dict"]["_batches_that_stepped"] == 5
    between_steps(loop, 6, due=False, pending=False)
    assert loop["epoch_loop.state_dict"]["_batches_that_stepped"] == 6
    assert loop["epoch_loop.val_loop.batch_progress"]["total"]["ready"] == 0
