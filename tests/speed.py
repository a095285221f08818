"""Small runs of every method and network, as they are and by graphs."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hrda_lit.data.classes import classes_from
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.base import Batch, Method
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.module import UDAModule
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.segmentor import Segmentor, SingleScaleSegmentor
from hrda_lit.ops.colour import StrongAugmentation
from hrda_lit.ops.rng import generator
from hrda_lit.optim import AdamWPoly
from hrda_lit.training.ema_teacher import EMATeacher
from hrda_lit.training.graph_runner import GraphRunner
from hrda_lit.training.options import Memory, StepOptions
from hrda_lit.training.regions import Regions
from hrda_lit.training.step_runner import StepRunner
from tests.tape import Tapes
from tests.waits import as_on_a_gpu

CLASSES = classes_from({"names": ["road", "sky", "car"], "things": ["car"]})
Change = Callable[[int, Batch], None]


class Crops(Dataset[Batch]):
    """A batch is a function of its step; `change` may do with it what it likes."""

    def __init__(self, steps: int, change: Change, start: int) -> None:
        self.steps, self.change, self.start = steps, change, start

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        step += self.start
        drawn = generator("batch", step)
        label = torch.randint(0, 3, (2, 8, 8), generator=drawn).repeat_interleave(8, 1).repeat_interleave(8, 2)
        image, target = torch.randn(2, 2, 3, 64, 64, generator=drawn)
        batch = {
            "source": {"image": image, "label": label},
            "target": {"image": target, "valid": (torch.rand(2, 64, 64, generator=drawn) > 0.1).float()},
        }
        self.change(step, batch)
        return batch


class Images(Dataset[dict[str, Any]]):
    """Two validation images."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        drawn = generator("image", index)
        label = torch.randint(0, 3, (64, 64), generator=drawn)
        return {"image": torch.randn(3, 64, 64, generator=drawn), "label": label, "index": index}


def method(name: str) -> Method:
    if name == "supervised":
        return Supervised(CLASSES)
    masked = MaskedConsistency(block=16) if name == "mic" else None
    return SelfTraining(CLASSES, Labeller(0.34), augmentation=StrongAugmentation(), masked=masked)


def student(network: str) -> Segmentor:
    torch.manual_seed(0)
    options = {"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 2, 1), "drop_path_rate": 0.3}
    backbone = Backbone("mit_b0", options=options)
    head = DAFormerHead(backbone.channels, 3, 8, (1, 2))
    if network == "daformer":
        return SingleScaleSegmentor(backbone, head, 3)
    fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 3, 8))
    return MultiResSegmentor(backbone, head, fusion, 3, DetailCrop((32, 32)))


def module(name: str = "self_training", network: str = "hrda", memory: Memory | None = None, **optim: Any) -> UDAModule:
    poly, options = AdamWPoly(**{"lr": 1e-3, "warmup": 2, **optim}), StepOptions(memory=memory or Memory())
    return UDAModule(student(network), method(name), CLASSES, poly, Whole(), EMATeacher(0.9, "student"), options)


class Losses(L.Callback):
    """Keep what each step logged."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fit(made: UDAModule, steps: int, *callbacks: L.Callback, change: Change = lambda *_: None, **options: Any) -> Any:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    path, start = options.pop("ckpt_path", None), options.pop("start", 0)
    fixed = {**quiet, "accelerator": "cpu", "max_steps": steps, "log_every_n_steps": 2, "num_sanity_val_steps": 0}
    trainer = L.Trainer(**fixed | options, callbacks=list(callbacks))
    loaders = DataLoader(Crops(steps, change, start), batch_size=None), DataLoader(Images())
    trainer.fit(made, *loaders, ckpt_path=path, weights_only=True)
    return trainer


def with_graphs(patch: pytest.MonkeyPatch, graphs: Any = None) -> tuple[list[StepRunner], Any]:
    """Let modules replay tapes; returns the runners that were chosen, and what made the graphs."""
    runners, graphs = list[StepRunner](), graphs or Tapes()

    def choose(options: StepOptions, networks: Any, names: Any, *_: Any) -> StepRunner:
        eager = options.speed == "eager"
        runners.append(StepRunner() if eager else GraphRunner(networks, Regions([]), names, graphs))
        return runners[-1]

    as_on_a_gpu(patch)
    patch.setattr("hrda_lit.module.choose_runner", choose)
    return runners, graphs


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]
