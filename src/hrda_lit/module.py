"""The LightningModule: student, teacher, fusion, method."""

import contextlib
import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils import _pytree as pytree

from hrda_lit.data.classes import Classes
from hrda_lit.inference.base import Inference, Original
from hrda_lit.inference.iou import ValidationCounts, class_iou, logged_means
from hrda_lit.methods.base import Batch, LoggedCrops, Method, Networks, Pass, cut_into_parts
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.pretrained_reference import remove_pretrained_, restore_pretrained_
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.networks.weights import check_keys
from hrda_lit.ops.logits import rows_at_once
from hrda_lit.ops.rng import fold, generator
from hrda_lit.optim import Scheduled, StudentOptim
from hrda_lit.training.ema_teacher import EMATeacher
from hrda_lit.training.optimizer_pair import pair_optimizers
from hrda_lit.training.options import StepOptions, choose_runner
from hrda_lit.training.skipped_steps import BadSteps
from hrda_lit.training.step_runner import StepRunner, cast_once

CONFIG_KEY = "hrda_lit_config"


class UDAModule(L.LightningModule):
    """Train a student by a method, one pass at a time, and validate it.

    A step reads top-down: `training_step`, `_learn`, then `Method.passes`.

    Args:
        student: network to train.
        method: with which labels it learns.
        classes: classes of the labels.
        optim: optimiser and schedule.
        inference: how whole images are predicted.
        ema: moves the teacher.
        options: how a step is executed; None for the defaults.
        config: plain containers, stored in every checkpoint so that it needs no other file.

    Attributes:
        teacher: moving average of the student, or None.
        discriminator: network that learns against the student, or None.
        iou: IoU per class of the last validation, or None.
        counts: its pixels by label (rows) and prediction (columns), or None.
        scored: number of steps before it, or None.
        crops: dict of a callback, filled with the crops of a step (of its first part); None for none.
    """

    def __init__(
        self,
        student: Segmentor,
        method: Method,
        classes: Classes,
        optim: StudentOptim,
        inference: Inference,
        ema: EMATeacher,
        options: StepOptions | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # Several backward calls per step, where Lightning's automatic loop has one.
        self.automatic_optimization = False
        self.student, self.method, self.classes = student, method, classes
        self.optim, self.inference, self.ema = optim, inference, ema
        self.options, self.config = options or StepOptions(), config or {}
        self.teacher = _frozen(student) if method.needs_teacher else None
        self.discriminator = method.discriminator()
        # In a list, so that it is not stored: the frozen ImageNet encoder is rebuilt from its file.
        self._imagenet: list[Backbone] = [_frozen(student.backbone).eval()] if method.needs_imagenet else []
        self.options.memory.apply_to(student, self.teacher, *self._imagenet)
        self.bad_steps, self.runner = BadSteps(optim.max_skipped), StepRunner()
        self.validation = ValidationCounts(classes)
        self.iou: Float[Tensor, " C"] | None = None
        self.counts: Int[Tensor, "C C"] | None = None
        self.scored: int | None = None
        self.crops: dict[str, LoggedCrops] | None = None

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: str | torch.device | None = None, **kwargs: Any
    ) -> "UDAModule":
        """Load the module from nothing but a checkpoint, see `hrda_lit.load_module`; no code of the file runs."""
        import hrda_lit  # not at the top: it is built above this file

        return hrda_lit.load_module(checkpoint_path, map_location or "cpu", **kwargs)

    def configure_callbacks(self) -> list[L.Callback]:
        """Add the callback that skips bad steps and, with a teacher, the one that updates it."""
        self.bad_steps = BadSteps(self.optim.max_skipped)  # counts from zero in each fit
        return [self.bad_steps] if self.teacher is None else [self.bad_steps, self.ema]

    def configure_optimizers(self) -> Any:
        """Build the optimiser and its schedule."""
        optimizer, scheduler = self.build_optimizer(self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def build_optimizer(self, steps: int) -> Scheduled:
        """Build the optimiser of the student, and of a discriminator, for a run of `steps`."""
        student = self.optim.build(self.student, steps)
        if self.discriminator is None or self.method.discriminator_optim is None:
            return student
        return pair_optimizers(student, self.method.discriminator_optim.build(self.discriminator, steps))

    def configure_model(self) -> None:
        """Move all networks to the device, with weights in channels-last layout on a CPU.

        Here and not when the fit starts, because DDP's buckets of gradients take the layout of its weights.
        """
        device = self.trainer.strategy.root_device
        networks: list[nn.Module] = [self, *self._imagenet]
        for network in networks:
            network.to(device)
            if device.type == "cpu":
                # A sixth faster for small convolutional encoders; not measured on GPUs.
                network.to(memory_format=torch.channels_last)

    def on_train_start(self) -> None:
        """Choose how passes are executed, once weights and buffers are where they stay."""
        networks = [network for network in self._networks() if network is not None]
        self.runner = choose_runner(self.options, networks, self.method.names, self.trainer)

    def on_train_end(self) -> None:
        """Release what a runner holds."""
        self.runner = StepRunner()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """For each part of the batch, draw and back-propagate every pass of the method; then step once.

        `bad_steps` lets the optimiser skip a step whose loss or gradient is NaN or infinite.
        """
        seed = (self.options.seed, "step", self.trainer.global_step, self.trainer.global_rank)
        torch.manual_seed(fold(*seed, "dropout"))  # dropout and drop path use the global generator
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        optimizer.zero_grad()  # type: ignore[union-attr]
        random, logs = generator(*seed), dict[str, list[Tensor]]()
        for part, last in cut_into_parts(batch, self.options.accumulate):
            drawn = self.method.draw(self.student, part["source"]["image"].shape, random)
            drawn = self.trainer.strategy.batch_to_device(drawn)
            for done in self.runner.run(partial(self._learn, last=last), part, drawn):
                for name, value in done.logs.items():
                    logs.setdefault(name, []).append(value)
                if self.crops is not None:
                    crops = pytree.tree_map_only(Tensor, torch.clone, done.crops)
                    self.crops.update(crops | self.crops)  # those of the first part stay
        for name, values in logs.items():
            # Without prog_bar, for which Lightning would wait for the device in every step.
            self.log(f"train/{name}", torch.stack(values).mean())
        optimizer.step()  # type: ignore[union-attr]
        scheduler.step()  # type: ignore[union-attr]

    def _learn(self, batch: Batch, drawn: Any, last: bool) -> Iterator[Pass]:
        """Yield the passes on a part of a batch, the `last` or not, once they are back-propagated."""
        with rows_at_once(self.options.memory.rows), cast_once():
            for done in self.method.passes(batch, self._networks(), drawn):
                factor = self.bad_steps.loss_factor(done.loss) / self.options.accumulate
                with self._gradient_sync(last and done.name == self.method.names[-1]):
                    self.manual_backward(done.loss * factor)
                yield done

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip and log the gradients, which are unscaled here in 16-bit training too."""
        if self.optim.clip is not None:
            self.clip_gradients(optimizer, gradient_clip_val=self.optim.clip, gradient_clip_algorithm="norm")
        # Loggers get the last step of every n; a number logged in another step would reach them late.
        if (self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            gradients = [p.grad for p in self.student.parameters() if p.grad is not None]
            # A skipped step has its gradients cleared.
            self.log("train/grad_norm", get_total_norm(gradients) if gradients else torch.nan)
            for group in optimizer.param_groups:
                self.log(f"train/lr/{group['name']}", group["lr"])

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count a full image in the confusion matrix, at the size of its label."""
        label, original = batch["label"], None
        if "scaled" in batch:
            original = Original(batch["scaled"], (label.shape[-2], label.shape[-1]))
        self.validation.update(self.inference(self.evaluated, batch["image"], original), label)

    def on_validation_epoch_end(self) -> None:
        """Log mIoU and the IoU of each class that occurs; raise a FloatingPointError for a NaN or infinity."""
        self.counts = self.validation.finish()
        self.iou, self.scored = class_iou(self.counts), self.trainer.global_step
        for name, value in logged_means(self.iou, self.classes.names).items():
            self.log(name, value, prog_bar=name == "val/miou")
        for name, value in zip(self.classes.names, self.iou.tolist(), strict=True):
            if value == value:  # absent classes have no IoU
                self.log(f"val/iou/{name}", value)

    @property
    def fusion(self) -> nn.Module | None:
        """Return the student's multi-resolution fusion; None for a single-scale student."""
        return getattr(self.student, "fusion", None)

    @property
    def evaluated(self) -> Segmentor:
        """Return the network that validation scores."""
        return self.teacher if self.ema.validate == "teacher" and self.teacher is not None else self.student

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the config, and remove pretrained weights that training does not change."""
        checkpoint[CONFIG_KEY] = self.config
        remove_pretrained_(checkpoint, self.student.backbone)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Reject the weights of another network in one sentence, before Lightning lists them in many."""
        weights = checkpoint["state_dict"]
        for network in ("student",) if self.teacher is None else ("student", "teacher"):
            prefix = f"{network}.backbone."
            restore_pretrained_(weights, checkpoint, self.student.backbone, prefix, "the checkpoint")
        check_keys(self.state_dict(), weights, "the checkpoint does not fit this network")

    def _gradient_sync(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        # With several devices, gradients are exchanged once, by the last backward of a step.
        if last or not hasattr(self.trainer.strategy, "block_backward_sync"):
            return contextlib.nullcontext()
        return self.trainer.strategy.block_backward_sync()

    def _networks(self) -> Networks:
        return Networks(self.student, self.teacher, next(iter(self._imagenet), None), self.discriminator)


def _frozen(network: Any) -> Any:
    return copy.deepcopy(network).requires_grad_(False)
