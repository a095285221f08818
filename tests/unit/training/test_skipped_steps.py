"""Steps whose loss or gradient is no number change nothing, are counted, told, and end a run that has no others."""

import copy
import logging
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from hrda_lit import optim
from hrda_lit.methods.base import Batch
from hrda_lit.module import UDAModule
from hrda_lit.training.skipped_steps import BadSteps, skipped_last_step

pytestmark = pytest.mark.slow

Make, Fit = Callable[..., UDAModule], Callable[..., L.Trainer]
DOMAINS = ("source", "target")


class States(L.Callback):
    """Copy weights, statistics and moments after every step."""

    def __init__(self) -> None:
        self.student: list[dict[str, Tensor]] = []
        self.teacher: list[dict[str, Tensor]] = []
        self.moments: list[list[Tensor]] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.student.append(copy.deepcopy(pl_module.student.state_dict()))
        self.teacher.append(copy.deepcopy(pl_module.teacher.state_dict()))
        state = trainer.optimizers[0].state.values()
        self.moments.append([value.clone() for item in state for value in item.values()])


def spoil_image(domain: str, bad: set[int]) -> Callable[[int, Batch], None]:
    def spoil(step: int, batch: Batch) -> None:
        if step in bad:
            batch[domain]["image"][0, 0, 5, 5] = torch.nan

    return spoil


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def guard(trainer: L.Trainer) -> BadSteps:
    (found,) = (callback for callback in trainer.callbacks if isinstance(callback, BadSteps))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("fused", [False, True])  # the fused kernel is what a GPU takes
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_bad_step_changes_nothing(
    make_module: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch, fused: bool, domain: str
) -> None:
    monkeypatch.setattr(optim, "_on_gpu", lambda _: fused)
    module, states = make_module(), States()
    trainer = fit(module, 4, states, spoil=spoil_image(domain, {1}))
    assert guard(trainer).state_dict() == {"skipped": 1, "in_a_row": 0, "seen": 4}
    assert equal(states.student[1], states.student[2])
    assert all(torch.equal(a, b) for a, b in zip(states.moments[1], states.moments[2], strict=True))
    statistics = [name for name in states.teacher[1] if "running" in name or "tracked" in name]
    assert statistics
    assert all(torch.equal(states.teacher[1][name], states.teacher[2][name]) for name in statistics)
    assert not equal(states.student[2], states.student[3])
    assert all(value.isfinite().all() for value in module.state_dict().values())
    assert trainer.global_step == 4


@pytest.mark.parametrize("where", ["gradient", "loss"])
def test_a_gradient_or_a_loss_alone_can_be_bad(make_module: Make, fit: Fit, where: str) -> None:
    module, states = make_module(), States()
    if where == "gradient":
        parameter = next(module.student.head.parameters())
        parameter.register_hook(lambda gradient: gradient * torch.inf if module.trainer.global_step == 1 else gradient)
    else:
        passes = module.method.passes

        def infinite(*args: Any) -> Any:  # of which the gradient is a number
            for done in passes(*args):
                yield done._replace(loss=done.loss + (torch.inf if module.trainer.global_step == 1 else 0))

        module.method.passes = infinite  # type: ignore[method-assign]
    trainer = fit(module, 3, states)
    assert equal(states.student[1], states.student[2])
    assert guard(trainer).skipped == 1


def test_with_a_loss_scaler_both_leave_out_the_same_steps(make_module: Make, fit: Fit) -> None:
    # The first step overflows in half precision, and the next ones do not.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60, backoff_factor=2.0**-50)
    module, states = make_module(), States()
    trainer = fit(module, 3, states, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    assert scaler.get_scale() == 2.0**10
    assert guard(trainer).skipped == 1
    assert equal(states.student[0], states.student[1])
    assert not equal(states.student[1], states.student[2])
    assert all(value.isfinite().all() for value in module.state_dict().values())


def test_good_steps_are_as_they_were(make_module: Make, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    module = make_module()
    plain = copy.deepcopy(module)
    fit(module, 3)
    monkeypatch.setattr(BadSteps, "on_before_optimizer_step", lambda *_: None)
    monkeypatch.setattr("hrda_lit.training.skipped_steps.nan_factor", lambda *_: 1)
    fit(plain, 3)
    assert equal(module.state_dict(), plain.state_dict())


def test_the_files_of_a_bad_batch_are_named(make_module: Make, fit: Fit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fit(make_module(), 3, spoil=spoil_image("source", {1}), log_every_n_steps=3)
    (told,) = (record.getMessage() for record in caplog.records if "is skipped" in record.getMessage())
    assert told.startswith("step 1 is skipped")
    assert told.endswith("source/2.png, source/3.png, target/2.png, target/3.png")


def test_a_run_of_bad_steps_ends_with_one_sentence_and_finite_weights(make_module: Make, fit: Fit) -> None:
    module = make_module(max_skipped=3)
    with pytest.raises(FloatingPointError, match="of steps 2 to 4 was NaN or infinite") as caught:
        fit(module, 20, spoil=spoil_image("source", {0, *range(2, 20)}))
    assert "\n" not in str(caught.value)
    assert module.trainer.global_step == 5
    assert all(value.isfinite().all() for value in module.state_dict().values())


@pytest.mark.parametrize("lr", [1e10, 1e25])
def test_exploding_weights_stay_finite_and_end_the_run(make_module: Make, fit: Fit, lr: float) -> None:
    module = make_module(lr=lr, max_skipped=5)
    with pytest.raises(FloatingPointError, match="lower optim"):
        fit(module, 40)
    assert all(value.isfinite().all() for value in module.state_dict().values())


def test_a_short_run_that_learned_nothing_does_not_end_well(make_module: Make, fit: Fit) -> None:
    with pytest.raises(FloatingPointError, match="step 1 was NaN"):
        fit(make_module(), 2, spoil=spoil_image("source", {1}))


def test_one_bad_step_at_the_end_of_a_good_run_is_told_alone(make_module: Make, fit: Fit) -> None:
    assert guard(fit(make_module(), 4, spoil=spoil_image("source", {3}))).in_a_row == 1


def test_weights_are_in_doubt_after_a_bad_step_alone(make_module: Make, fit: Fit) -> None:
    class Asks(L.Callback):
        def __init__(self) -> None:
            self.answers: list[bool] = []

        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            self.answers.append(skipped_last_step(trainer))

    asks = Asks()
    fit(make_module(), 5, asks, spoil=spoil_image("source", {1, 2}))
    assert asks.answers == [False, False, True, True, False]


def test_counts_go_on_in_a_resumed_run(make_module: Make, fit: Fit) -> None:
    saved = guard(fit(make_module(), 4, spoil=spoil_image("source", {2}))).state_dict()
    resumed = BadSteps()
    resumed.load_state_dict(saved)
    assert resumed.state_dict() == saved == {"skipped": 1, "in_a_row": 0, "seen": 4}


def test_moments_are_laid_out_like_the_weights_they_are_loaded_for() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 3, 2, 2))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.randn(4, 3, 2, 2)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    moment = state["state"][0]["exp_avg"]
    state["state"][0]["exp_avg"] = moment.to(memory_format=torch.channels_last)
    optimizer.register_load_state_dict_post_hook(optim._lay_out_like_weights)
    optimizer.load_state_dict(state)
    assert optimizer.state[weight]["exp_avg"].stride() == weight.stride()
    assert torch.equal(optimizer.state[weight]["exp_avg"], moment)
