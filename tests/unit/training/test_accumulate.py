"""Gradients of several batches in one step of the optimiser."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from hrda_lit.data.classes import classes_from
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.base import cut_into_parts
from hrda_lit.methods.supervised import Supervised
from hrda_lit.module import UDAModule
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.ops.rng import generator
from hrda_lit.optim import AdamWPoly
from hrda_lit.training.ema_teacher import EMATeacher
from hrda_lit.training.options import StepOptions

STEPS, CROPS = 3, 4


class Coarsest(nn.Conv2d):
    """A head without BatchNorm and dropout, so that no crop tells on another."""

    def forward(self, features: list[Tensor]) -> Tensor:
        return super().forward(features[-1])


class Record(L.Callback):
    """Keep the gradients of the first step, and what was logged by each step of the optimiser."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, float]] = []
        self.gradients: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: Any, optimizer: Any) -> None:
        if trainer.global_step == 0:
            named = pl_module.student.named_parameters()
            self.gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.steps.append((trainer.global_step, float(trainer.callback_metrics["train/loss/source"])))


def batches() -> list[dict[str, dict[str, Tensor]]]:
    drawn = generator("accumulate")
    made = []
    for _ in range(STEPS):
        label = torch.randint(0, 3, (CROPS, 64, 64), generator=drawn)
        label[0, :32] = 255  # counted by the mean over all pixels, so parts of one size weigh the same
        made.append({"source": {"image": torch.randn(CROPS, 3, 64, 64, generator=drawn), "label": label}})
    return made


def fit(backbone: Backbone, accumulate: int) -> Record:
    torch.manual_seed(1)
    student = SingleScaleSegmentor(backbone, Coarsest(backbone.channels[-1], 3, 1), 3)
    classes = classes_from({"names": ["road", "sky", "car"], "things": []})
    poly, options = AdamWPoly(lr=1e-3, warmup=0), StepOptions(accumulate=accumulate)
    module = UDAModule(student, Supervised(classes), classes, poly, Whole(), EMATeacher(), options)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    record = Record()
    trainer = L.Trainer(**quiet, accelerator="cpu", max_steps=STEPS, log_every_n_steps=1, callbacks=[record])
    trainer.fit(module, DataLoader(batches(), batch_size=None))  # type: ignore[arg-type]
    return record


@pytest.fixture
def fresh() -> Callable[[], Backbone]:
    def make() -> Backbone:
        torch.manual_seed(0)
        return Backbone("mit_b0", options={"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)})

    return make


@pytest.mark.parametrize("accumulate", [2, 4])
def test_small_batches_learn_what_a_large_one_does(fresh: Callable[[], Backbone], accumulate: int) -> None:
    whole, summed = fit(fresh(), 1), fit(fresh(), accumulate)
    assert len(whole.gradients) > 20
    for name, gradient in whole.gradients.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(summed.gradients[name], gradient, rtol=1e-4, atol=1e-4 * scale, msg=name)
    assert [step for step, _ in summed.steps] == [1, 2, 3], "a step of the optimiser is one step"
    losses = [loss for _, loss in whole.steps]
    assert losses[-1] < losses[0]
    assert [loss for _, loss in summed.steps] == pytest.approx(losses, rel=1e-3)


def test_devices_exchange_gradients_once_a_step(fresh: Callable[[], Backbone], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    sync = UDAModule._gradient_sync
    monkeypatch.setattr(UDAModule, "_gradient_sync", lambda self, last: asked.append(last) or sync(self, last))
    fit(fresh(), 4)
    assert asked == [False, False, False, True] * STEPS


def test_parts_keep_the_order_of_the_crops() -> None:
    [batch, *_] = batches()
    (first, early), (second, last) = cut_into_parts(batch, 2)
    assert (early, last) == (False, True)
    for key, value in batch["source"].items():
        assert torch.equal(torch.cat([first["source"][key], second["source"][key]]), value)
    with pytest.raises(ValueError, match="a batch of 4 has no 3 equal parts"):
        list(cut_into_parts(batch, 3))
