"""Drive training steps with the draws that the authors' released code made."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from goldens import Golden, build_backbone, build_segmentor, our_names
from torch import Tensor, nn

from hrda_lit.data.classes import classes_from
from hrda_lit.methods.base import Labelled, Networks
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.networks.layouts import from_official
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.weights import load_checked
from hrda_lit.ops.boxes import Box
from hrda_lit.optim import AdamWPoly
from hrda_lit.training.ema_teacher import detached, ema_update_


class Recorded(SelfTraining):
    """Self-training that remembers the labels it made."""

    labelled: Labelled
    mixed: Labelled

    def label_target(self, *args: Any) -> tuple[Labelled, Tensor]:
        made = super().label_target(*args)
        self.labelled = made[0]
        return made

    def mix(self, *args: Any) -> Labelled:
        self.mixed = super().mix(*args)
        return self.mixed


class Run:
    """A student, its teacher and an optimiser that repeat the steps of one golden file."""

    def __init__(self, golden: Golden, dtype: torch.dtype, masked: MaskedConsistency | None = None) -> None:
        self.config, self.dtype, self.golden = golden.json("cfg"), dtype, golden
        state = golden.state("sd/")
        self.names = our_names([key for key in state if "running" not in key and "num_batches" not in key])
        self.student = self._network(state).train()
        self.teacher = reset_buffers(copy.deepcopy(self.student)).requires_grad_(False)
        self.networks = Networks(self.student, self.teacher, self._imagenet())
        self.method = self._method(masked)
        optim = AdamWPoly(self.config["lr"], self.config["head_lr"] / self.config["lr"], warmup=0)
        self.optimizer, _ = optim.build(self.student, 40000)

    def _network(self, state: dict[str, Tensor]) -> MultiResSegmentor:
        options = {"lambda_d": self.config["hr_loss_weight"], "s_T": 2}
        return build_segmentor(self.config, state, **options).to(self.dtype)

    def _imagenet(self) -> nn.Module:
        backbone = build_backbone(self.config)
        state = {f"backbone.{key}": value for key, value in self.golden.state("imnet/").items()}
        renamed = {key.removeprefix("backbone."): value for key, value in from_official(state).items()}
        load_checked(backbone, renamed, "the golden")
        return backbone.to(self.dtype).eval().requires_grad_(False)

    def _method(self, masked: MaskedConsistency | None) -> Recorded:
        names = [f"class {index}" for index in range(self.config["num_classes"])]
        classes = classes_from({"names": names, "things": [names[i] for i in self.config["fd_classes"]]})
        tau, weight = self.config["pseudo_threshold"], self.config["fd_lambda"]
        return Recorded(classes, Labeller(tau), weight, None, self.config["fd_min_ratio"], masked)

    def batch(self, step: str) -> dict[str, dict[str, Tensor]]:
        image, target = (self.golden[f"{step}/{name}"].to(self.dtype) for name in ("img", "target_img"))
        label, valid = (self.golden[f"{step}/{name}"].squeeze(1) for name in ("label", "valid_pseudo_mask"))
        source = {"image": image, "label": label.long()}
        return {"source": source, "target": {"image": target, "valid": valid.to(self.dtype)}}

    def accumulate(self, step: int) -> dict[str, float]:
        """Move the teacher, run all passes backwards, and return the logged numbers."""
        ema_update_(detached(self.teacher), detached(self.student), step, self.config["alpha"])
        self.optimizer.zero_grad()
        logs: dict[str, float] = {}
        batch = self.batch(f"it{step}")
        drawn = self.method.draw(self.student, batch["source"]["image"].shape, torch.Generator())
        for done in self.method.passes(batch, self.networks, drawn):
            done.loss.backward()
            logs |= {name: float(value) for name, value in done.logs.items()}
        return logs


def reset_buffers(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return network


def inject(monkeypatch: pytest.MonkeyPatch, boxes: list[list[int]], choices: list[Tensor]) -> None:
    """Replace the draws of boxes and classes by given ones, in order."""
    given: Iterator[Box] = iter([Box(*box) for box in boxes])
    chosen = iter(choices)
    monkeypatch.setattr("hrda_lit.networks.detail_crop.random_aligned_box", lambda *_: next(given))

    def choose(present: Tensor, priorities: Tensor) -> Tensor:
        classes, made = present.nonzero().flatten(), torch.zeros(priorities.shape, dtype=torch.bool)
        for one in made:
            one[classes[next(chosen)]] = True
        return made

    monkeypatch.setattr("hrda_lit.methods.self_training.choose_classes", choose)
