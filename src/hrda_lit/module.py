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
from lightning.pytorch.plugins import MixedPrecision, Precision
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LambdaLR
from torch.utils import _pytree as pytree

from hrda_lit.data.classes import Classes
from hrda_lit.inference.base import Inference, Original
from hrda_lit.inference.iou import class_iou, logged_means
from hrda_lit.inference.validation import ValidationCounts
from hrda_lit.methods.base import Batch, LoggedCrops, Method, Networks, Pass, parts
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.pretrained_reference import fill_in_, leave_out_
from hrda_lit.networks.recompute import Recomputed
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.networks.weights import check_keys
from hrda_lit.ops.finite import soundness, statistics
from hrda_lit.ops.rng import fold, generator
from hrda_lit.optim import StudentOptim
from hrda_lit.training.choose_runner import Speed, choose_runner
from hrda_lit.training.ema_teacher import EMATeacher
from hrda_lit.training.optimizer_pair import paired
from hrda_lit.training.skipped_steps import BadSteps
from hrda_lit.training.step_runner import StepRunner

CONFIG_KEY = "hrda_lit_config"


class UDAModule(L.LightningModule):
    """Train a student by a method, one pass at a time, and validate it.

    Args:
        student: the network to train.
        method: with which labels.
        classes: of the labels.
        optim: optimiser and schedule.
        inference: how whole images are predicted.
        ema: moves the teacher.
        seed: of every draw in a training step.
        config: plain containers, stored in every checkpoint so that it can be used alone.
        accumulate: equal parts of a batch that go through the network one after the other.
        speed: how passes are run, see `choose_runner`.

    Attributes:
        teacher: the moving average of the student, or None.
        discriminator: what learns against the student, or None.
        iou: IoU per class of the last validation, or None.
        counts: its pixels by label (rows) and prediction (columns), or None.
        scored: after which step it was, or None.
        seen: a dict that a callback puts here is filled with the crops of the step; None fills nothing.
    """

    def __init__(
        self,
        student: Segmentor,
        method: Method,
        classes: Classes,
        optim: StudentOptim,
        inference: Inference,
        ema: EMATeacher,
        seed: int = 0,
        config: dict[str, Any] | None = None,
        accumulate: int = 1,
        speed: Speed = "auto",
    ) -> None:
        super().__init__()
        # Several backward calls per step: Lightning's automatic loop knows one.
        self.automatic_optimization = False
        # The frozen ImageNet encoder is rebuilt from its file and never stored, see `_imagenet`.
        self.student, self.method, self.classes = student, method, classes
        self.optim, self.inference, self.seed, self.config = optim, inference, seed, config or {}
        self.accumulate = accumulate
        self.ema, self.speed, self.runner = ema, speed, StepRunner()
        self.teacher = _frozen(student) if method.needs_teacher else None
        self.discriminator = method.discriminator()
        # In a list, so that it is neither a parameter nor part of the checkpoint.
        self._imagenet: list[Backbone] = (
            [_frozen(student.backbone).eval().to(dtype=method.imagenet_in)] if method.needs_imagenet else []
        )
        self.validation = ValidationCounts(classes)
        self.iou: Float[Tensor, " C"] | None = None
        self.counts: Int[Tensor, "C C"] | None = None
        self.scored: int | None = None
        self.seen: dict[str, LoggedCrops] | None = None
        self._gathered: list[Tensor] = []

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: str | torch.device | None = None, **kwargs: Any
    ) -> "UDAModule":
        """Load the module from a checkpoint alone, without running code of the file; see `hrda_lit.load_module`."""
        import hrda_lit  # the door of the package: to build from a config is the business of floors above

        return hrda_lit.load_module(checkpoint_path, map_location or "cpu", **kwargs)

    def configure_callbacks(self) -> list[L.Callback]:
        """Bring along what no run may lack: the guard of its weights and, with a teacher, what moves it."""
        return [BadSteps(self.optim.max_skipped), *([self.ema] if self.teacher is not None else [])]

    def configure_optimizers(self) -> Any:
        """Build the optimiser and its schedule."""
        optimizer, scheduler = self.scheduled(self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def scheduled(self, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Build the optimiser of the student, joined by that of what learns against it, with its schedule.

        Args:
            steps: of the whole run.
        """
        made = self.optim.build(self.student, steps)
        if self.discriminator is None or self.method.discriminator_optim is None:
            return made
        return paired(made, self.method.discriminator_optim.build(self.discriminator, steps))

    def configure_model(self) -> None:
        """Bring the frozen encoder to the student's device, and lay weights out as the device likes them.

        Here and not when the fit starts, because DDP lays its buckets of gradients out like the weights it is given.
        """
        device = self.trainer.strategy.root_device
        networks: list[nn.Module] = [self, *self._imagenet]
        for network in networks:
            network.to(device)
            if device.type == "cpu":
                # A sixth faster for small convolutional encoders; on GPUs not measured, so left as it is.
                network.to(memory_format=torch.channels_last)

    def on_train_start(self) -> None:
        """List what the networks gather, once weights and buffers are where they stay."""
        found = statistics((self.student, self.teacher))
        self._gathered = [buffer for buffer in found if buffer.is_floating_point()]
        networks = [one for one in (self.student, self.teacher, self.discriminator, *self._imagenet) if one is not None]
        self.runner = choose_runner(self.speed, networks, self.method.names, self.device, self._obstacle())

    def on_train_end(self) -> None:
        """Let go of what a runner holds."""
        self.runner = StepRunner()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Draw, then back-propagate every pass of the method as it comes, part by part of the batch; then step once."""
        where = (self.seed, "step", self.trainer.global_step, self.trainer.global_rank)
        torch.manual_seed(fold(*where, "dropout"))  # dropout and drop path know only the global generator
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        self.runner.zero_gradients(optimizer)  # type: ignore[arg-type]
        draws, logs = generator(*where), dict[str, list[Tensor]]()
        for left, part in zip(reversed(range(self.accumulate)), parts(batch, self.accumulate), strict=True):
            drawn = self.method.draw(self.student, part["source"]["image"].shape, draws)
            work = partial(self._learn, last=left == 0)
            for done in self.runner.run(work, part, self.trainer.strategy.batch_to_device(drawn)):
                for name, value in done.logs.items():
                    logs.setdefault(name, []).append(value)
                if self.seen is not None:  # of the first part
                    self.seen |= pytree.tree_map_only(Tensor, torch.clone, done.seen) | self.seen
        for name, values in logs.items():
            self.log(f"train/{name}", torch.stack(values).mean())  # with prog_bar, Lightning reads it in every step
        optimizer.step()  # type: ignore[union-attr]
        scheduler.step()  # type: ignore[union-attr]

    def _learn(self, batch: Batch, drawn: Any, last: bool) -> Iterator[Pass]:
        """Yield the passes of the method, each back-propagated; a function of tensors.

        Args:
            batch: of one part.
            drawn: of `Method.draw`.
            last: whether it is the last part of the step.
        """
        networks = Networks(self.student, self.teacher, next(iter(self._imagenet), None), self.discriminator)
        with self.runner.cast_once():
            for done in self.method.passes(batch, networks, drawn):
                with self._gradient_sync(last and done.name == self.method.names[-1]):
                    # What is no number must reach the gradients, which all devices have in common.
                    sound = soundness(done.loss.detach(), *self._gathered)
                    self.manual_backward(done.loss * (sound / self.accumulate))
                yield done

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip and log; here gradients are unscaled in 16-bit training too."""
        if self.optim.clip is not None:
            self.clip_gradients(optimizer, gradient_clip_val=self.optim.clip, gradient_clip_algorithm="norm")
        if self._logs_now():
            gradients = [p.grad for p in self.student.parameters() if p.grad is not None]
            # A bad step has none any more.
            self.log("train/grad_norm", get_total_norm(gradients) if gradients else torch.nan)
            if self.runner.replays:
                self.log("train/replays", float(self.runner.replays))
            for group in optimizer.param_groups:
                self.log(f"train/lr/{group['name']}", group["lr"])

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count a full image in the confusion matrix, at the size of its label."""
        label = batch["label"]
        original = Original(batch["scaled"], (label.shape[-2], label.shape[-1])) if "scaled" in batch else None
        self.validation.update(self.inference(self.evaluated, batch["image"], original), label)

    def on_validation_epoch_end(self) -> None:
        """Log mIoU and the IoU of each class that occurs.

        Raises:
            FloatingPointError: if a prediction was no number, whose largest would be class 0.
        """
        self.counts = self.validation.finish()
        self.iou, self.scored = class_iou(self.counts), self.trainer.global_step
        for name, value in logged_means(self.iou, self.classes.names).items():
            self.log(name, value, prog_bar=name == "val/miou")
        for name, value in zip(self.classes.names, self.iou.tolist(), strict=True):
            if value == value:  # absent classes have no IoU
                self.log(f"val/iou/{name}", value)

    @property
    def fusion(self) -> nn.Module | None:
        """Return the student's multi-resolution fusion, or None for a single-scale student."""
        fusion: nn.Module | None = getattr(self.student, "fusion", None)
        return fusion

    @property
    def evaluated(self) -> Segmentor:
        """Return the network that validation scores."""
        return self.teacher if self.ema.validate == "teacher" and self.teacher is not None else self.student

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the config beside the weights, and leave those out that training leaves as they are."""
        checkpoint[CONFIG_KEY] = self.config
        leave_out_(checkpoint, self.student.backbone)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another network in one sentence, before Lightning lists them in many."""
        for network in ("student",) if self.teacher is None else ("student", "teacher"):
            prefix = f"{network}.backbone."
            fill_in_(checkpoint["state_dict"], checkpoint, self.student.backbone, prefix, "the checkpoint")
        check_keys(self.state_dict(), checkpoint["state_dict"], "the checkpoint does not fit this network")

    def _gradient_sync(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        # With several devices, gradients are exchanged once, by the last backward of a step.
        block = getattr(self.trainer.strategy, "block_backward_sync", contextlib.nullcontext)
        return contextlib.nullcontext() if last else block()

    def _obstacle(self) -> str | None:
        if self.trainer.world_size > 1:
            return "several devices exchange gradients amid a step"
        if any(isinstance(part, Recomputed) for part in self.student.modules()):
            # GraphRunner, dropout would draw again in the backward pass, and gradients be those of another network.
            return "what memory.encoder or memory.heads recomputes must draw the same again, which no graph can"
        plugin = self.trainer.precision_plugin
        if getattr(plugin, "scaler", None) is not None:
            return f"the scale of losses changes from step to step with precision={plugin.precision}"
        if type(plugin) not in (Precision, MixedPrecision):
            return f"precision={plugin.precision} is not known to work with graphs"
        return None

    def _logs_now(self) -> bool:
        # Loggers get the last step of every n; what was logged in another would reach them late.
        return bool((self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0)  # type: ignore[attr-defined]


def _frozen(network: Any) -> Any:
    return copy.deepcopy(network).requires_grad_(False)
