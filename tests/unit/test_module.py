"""The LightningModule: its fusion, and what it refuses to score."""

from collections.abc import Callable

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from hrda_lit.dashboards.pictures import validation_scene
from hrda_lit.data.classes import classes_from
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.supervised import Supervised
from hrda_lit.module import UDAModule
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.optim import AdamWPoly
from hrda_lit.training.ema_teacher import EMATeacher

ITEM = {"image": torch.zeros(3, 64, 64), "label": torch.zeros(64, 64, dtype=torch.long), "index": 0}


@pytest.fixture
def module(single: SingleScaleSegmentor) -> UDAModule:
    classes = classes_from({"names": ["road", "sky", "car"], "things": []})
    return UDAModule(single, Supervised(classes), classes, AdamWPoly(), Whole(), EMATeacher())


def validate(module: UDAModule) -> None:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    L.Trainer(**quiet, accelerator="cpu").validate(module, DataLoader([ITEM] * 3), verbose=False)


def test_the_fusion_is_the_students(module: UDAModule, multires: Callable[..., MultiResSegmentor]) -> None:
    assert module.fusion is None
    student = multires()
    hrda = UDAModule(student, module.method, module.classes, AdamWPoly(), Whole(), EMATeacher())
    assert hrda.fusion is student.fusion


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_network_that_predicts_no_numbers_is_not_scored(module: UDAModule, bad: float) -> None:
    next(module.student.head.parameters()).data.view(-1)[0] = bad
    with pytest.raises(FloatingPointError, match="for 3 validation images") as caught:
        validate(module)
    assert "\n" not in str(caught.value)
    assert module.iou is None
    with pytest.raises(ValueError, match="its training diverged"):
        validation_scene(module.eval(), ITEM["image"][None], ITEM["label"][None])  # type: ignore[index]


def test_a_network_that_was_mended_is_scored_again(module: UDAModule) -> None:
    weight = next(module.student.head.parameters()).data
    before = weight.clone()
    weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="for 3 validation images"):
        validate(module)
    weight.copy_(before)
    validate(module)
    assert module.counts is not None
    assert module.counts.sum() == 3 * 64 * 64
