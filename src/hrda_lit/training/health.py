"""The health of a run: warnings about classes, q and the teacher, and two measures without labels."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch
from jaxtyping import Int
from torch import Tensor, nn

from hrda_lit.config.ranges import Count, NotNegative, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.finite import all_finite
from hrda_lit.ops.pseudo_labels import agreement
from hrda_lit.training.ema_teacher import relative_distance

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

log = logging.getLogger(__name__)


@check_arguments
class HealthWarnings(L.Callback):
    """Warn once of each collapsed class, a stuck q and a teacher far from the student, also when resumed.

    Args:
        learned: IoU in [0, 1] of a learned class, whose later collapse is reported.
        validations: number of validations after which a never predicted class is reported, >= 1.
        stuck: number of logged steps after which a q of 0 or 1 is reported, >= 1.
        departed: distance of the teacher from the student, relative to the student's norm, that is reported.
    """

    def __init__(
        self, learned: Share = 0.05, validations: Count = 3, stuck: Count = 20, departed: NotNegative = 0.5
    ) -> None:
        self.learned, self.validations, self.stuck, self.departed = learned, validations, stuck, departed
        self._warned: list[str] = []
        self._best: dict[str, float] = {}
        self._validated, self._predicted = 0, list[str]()
        self._extreme, self._steps = 0.0, 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check q and the teacher with the last step of every `log_every_n_steps`."""
        module, step = cast("UDAModule", pl_module), trainer.global_step
        if module.teacher is None or step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        q = trainer.callback_metrics.get("train/pseudo/q")
        if q is not None:
            self.check_q(float(q), step)
        if "teacher" not in self._warned:
            self.check_teacher(relative_distance(module.teacher, module.student), step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the labelled classes."""
        module = cast("UDAModule", pl_module)
        if module.counts is not None and not trainer.sanity_checking:
            self.check_classes(module.counts, module.classes.names, trainer.global_step)

    def check_q(self, q: float, step: int) -> None:
        """Count the logged steps in a row whose q, in [0, 1], is 0 or 1, both within 0.0001."""
        extreme = round(q) if min(q, 1 - q) < 1e-4 else None
        if extreme is None:
            self._steps = 0
            return
        self._steps = self._steps + 1 if extreme == self._extreme else 1
        self._extreme = extreme
        if self._steps >= self.stuck:
            where, remedy = ("everywhere", "raise tau") if extreme else ("nowhere", "lower tau or train longer")
            self._warn(
                f"q is {extreme}",
                f"q has been {extreme} in {self._steps} logged steps up to step {step}: the teacher is confident "
                f"{where}, so that its weights say nothing; {remedy}, or see the training pictures",
            )

    def check_teacher(self, distance: float, step: int) -> None:
        """Compare the relative distance of the teacher with the limit."""
        if distance > self.departed:
            self._warn(
                "teacher",
                f"the teacher is {distance:.2f} of the student's norm away from it at step {step}: its labels are "
                "those of another network; lower optim.lr or alpha",
            )

    def check_classes(self, counts: Int[Tensor, "C C"], names: Sequence[str], step: int) -> None:
        """Report classes that collapsed or are never predicted, by a confusion matrix with labels in rows."""
        self._validated += 1
        right, labelled, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
        scores = (right / (labelled + predicted - right).clamp_min(1)).tolist()
        self._predicted = [name for name, n in zip(names, predicted, strict=True) if n or name in self._predicted]
        never = []
        for name, score, pixels in zip(names, scores, labelled.tolist(), strict=True):
            best = self._best[name] = max(score, self._best.get(name, 0.0))
            if pixels and score == 0 and best > self.learned:
                self._warn(
                    f"class {name}",
                    f"{name} has collapsed: no pixel of it is right at step {step}, where its IoU has been "
                    f"{100 * best:.1f} %",
                )
            if pixels and name not in self._predicted:
                never.append(name)
        if never and self._validated >= self.validations:
            self._warn("never", f"never predicted in {self._validated} validations: {', '.join(never)}")

    def state_dict(self) -> dict[str, Any]:
        """Return the counts and the warnings so far."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the counts and warnings of a resumed run."""
        vars(self).update(state_dict)

    def _warn(self, about: str, sentence: str) -> None:
        if about not in self._warned:
            self._warned.append(about)
            log.warning(sentence)


@check_arguments
class TargetHealth(L.Callback):
    """Log two measures on training crops of the target that no step draws, the same crops every time.

    `target/entropy` is the mean entropy of the validated network's predictions as a share of log C,
    `target/agreement` the share of pixels to which student and teacher give the same class, both where
    pseudo-labels may be trusted. They can choose a checkpoint without target labels. They show training gone
    wrong, not right classes: a network that predicts one class everywhere has the best of both.

    Args:
        every: steps from one measurement to the next, >= 1; the last step of a run is measured too.
        count: number of crops over all devices, >= 1.
    """

    def __init__(self, every: Count, count: Count = 4) -> None:
        self.every, self.count = every, count

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure and log before a checkpoint is written; raise a FloatingPointError for a NaN or infinity."""
        module, step = cast("UDAModule", pl_module), trainer.global_step
        if module.teacher is None or (step % self.every and step != trainer.max_steps):
            return
        totals = self._totals(trainer, module)
        if not all_finite(totals):
            raise FloatingPointError(
                "student or teacher predicts NaN or infinity for crops of the target, the training diverged; lower "
                "optim.lr, set optim.clip, or go on from an earlier checkpoint."
            )
        entropy, same, pixels = totals.tolist()
        if not pixels:
            return
        numbers = {"target/entropy": entropy / pixels, "target/agreement": same / pixels}
        # For checkpoints and the bar; loggers would wait for the next logged step, if there is one.
        module.log_dict(numbers, logger=False)
        for logger in trainer.loggers:
            # Lightning counts the steps of its rows from 0.
            logger.log_metrics({**numbers, "epoch": trainer.current_epoch}, step - 1)

    def _totals(self, trainer: L.Trainer, module: "UDAModule") -> Tensor:
        crop = cast(Any, trainer).datamodule.unseen_target_crop
        totals = torch.zeros(3, device=module.device)
        with inference_mode_of(module.student, module.teacher):
            for index in range(trainer.global_rank, self.count, trainer.world_size):
                totals += self._measure(trainer, module, crop(index))
        return trainer.strategy.reduce(totals, reduce_op="sum")

    def _measure(self, trainer: L.Trainer, module: "UDAModule", crop: dict[str, Tensor]) -> Tensor:
        image, valid = (crop[name][None].to(module.device) for name in ("image", "valid"))
        assert module.teacher is not None
        other = module.teacher if module.evaluated is module.student else module.student
        with trainer.precision_plugin.forward_context():
            image = trainer.precision_plugin.convert_input(image)
            return agreement(module.evaluated.predict(image), other.predict(image), valid)


@contextmanager
def inference_mode_of(*networks: nn.Module | None) -> Iterator[None]:
    """Put networks into evaluation mode without gradients; restore the mode of each module afterwards."""
    evaluated = nn.ModuleList(filter(None, networks))
    modes = {module: module.training for module in evaluated.modules()}
    evaluated.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        evaluated.train()  # some encoders cache fused weights in eval mode, and drop them here
        for module, training in modes.items():
            module.training = training
