"""Runs of a real module on generated batches, in milliseconds a step."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hrda_lit.data.classes import classes_from
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.base import Batch
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.module import UDAModule
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.rng import generator
from hrda_lit.optim import AdamWPoly
from hrda_lit.training.ema_teacher import EMATeacher

Spoil = Callable[[int, Batch], None]


class Batches(Dataset[Batch]):
    """A batch is a function of its step; `spoil` may do with it what it likes."""

    def __init__(self, steps: int, spoil: Spoil) -> None:
        self.steps, self.spoil = steps, spoil

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        drawn = generator("batch", step)
        label = torch.randint(0, 3, (2, 8, 8), generator=drawn).repeat_interleave(8, 1).repeat_interleave(8, 2)
        image, target = torch.randn(2, 2, 3, 64, 64, generator=drawn)
        files = torch.tensor([2 * step, 2 * step + 1])
        batch = {
            "source": {"image": image, "label": label, "file": files},
            "target": {"image": target, "valid": torch.ones(2, 64, 64), "file": files},
        }
        self.spoil(step, batch)
        return batch


class Data(L.LightningDataModule):
    """What callbacks ask of the library's data module."""

    class_probabilities = None

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.batches, batch_size=None)

    def file_name(self, domain: str, file: int) -> str:
        return f"{domain}/{file}.png"

    def unseen_target_crop(self, index: int) -> dict[str, Tensor]:
        valid = torch.ones(64, 64)
        valid[:32] = index % 2
        return {"image": torch.randn(3, 64, 64, generator=generator("unseen", index)), "valid": valid}


@pytest.fixture
def make_module(multires: Callable[..., MultiResSegmentor]) -> Callable[..., UDAModule]:
    def make(**optim: Any) -> UDAModule:
        classes = classes_from({"names": ["road", "sky", "car"], "things": []})
        method = SelfTraining(classes, lambda_fd=0)
        poly = AdamWPoly(**{"lr": 1e-3, "warmup": 0, **optim})
        return UDAModule(multires(), method, classes, poly, Whole(), EMATeacher(0.9, "teacher"))

    return make


@pytest.fixture
def fit() -> Callable[..., L.Trainer]:
    """Train a module for some steps; returns the trainer."""

    def run(
        module: UDAModule, steps: int, *callbacks: L.Callback, spoil: Spoil = lambda *_: None, **options: Any
    ) -> L.Trainer:
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        fixed = {**quiet, "accelerator": "cpu", "max_steps": steps, "log_every_n_steps": 1}
        trainer = L.Trainer(**fixed | options, callbacks=list(callbacks))
        trainer.fit(module, datamodule=Data(Batches(steps, spoil)))
        return trainer

    return run
