"""What a run should be looked at for: classes that are lost, a q that is stuck, a teacher that departs."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import lightning as L
from jaxtyping import Int
from torch import Tensor

from hrda_lit.config.ranges import Count, NotNegative, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.training.monitor import relative_distance

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

log = logging.getLogger(__name__)


@check_arguments
class Watch(L.Callback):
    """Warn, each thing once, also over resumed runs.

    Args:
        learned: IoU in [0, 1] from which a class counts as learned, so that its loss is told.
        validations: after how many a class that is labelled and was never predicted is told, >= 1.
        stuck: logged steps after which a q of 0 or 1 is told, >= 1.
        departed: distance of the teacher from the student, relative to the student's norm, that is told.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self, learned: Share = 0.05, validations: Count = 3, stuck: Count = 20, departed: NotNegative = 0.5
    ) -> None:
        self.learned, self.validations, self.stuck, self.departed = learned, validations, stuck, departed
        self._told: list[str] = []
        self._best: dict[str, float] = {}
        self._validated, self._predicted = 0, list[str]()
        self._extreme, self._steps = 0.0, 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at q and the teacher with the last step of every `log_every_n_steps`."""
        module, step = cast("UDAModule", pl_module), trainer.global_step
        if module.teacher is None or step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        if (q := trainer.callback_metrics.get("train/pseudo/q")) is not None:
            self.look_at_q(float(q), step)
        if "teacher" not in self._told:
            self.look_at_teacher(relative_distance(module.teacher, module.student), step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the classes that were labelled."""
        module = cast("UDAModule", pl_module)
        if module.counts is not None and not trainer.sanity_checking:
            self.look_at_classes(module.counts, module.classes.names, trainer.global_step)

    def look_at_q(self, q: float, step: int) -> None:
        """Count logged steps whose q, in [0, 1], is 0 or 1; both within 0.0001."""
        extreme = round(q) if min(q, 1 - q) < 1e-4 else None
        if extreme is None:
            self._steps = 0
            return
        self._steps = self._steps + 1 if extreme == self._extreme else 1
        self._extreme = extreme
        if self._steps >= self.stuck:
            where, remedy = ("everywhere", "raise tau") if extreme else ("nowhere", "lower tau or train longer")
            self._tell(
                f"q is {extreme}",
                f"q has been {extreme} in {self._steps} logged steps up to step {step}: the teacher is confident "
                f"{where}, so that its weights tell nothing; {remedy}, or look at the training pictures",
            )

    def look_at_teacher(self, distance: float, step: int) -> None:
        """Judge the relative distance of the teacher."""
        if distance > self.departed:
            self._tell(
                "teacher",
                f"the teacher is {distance:.2f} of the student's norm away from it at step {step}: its labels are "
                "those of another network; lower optim.lr or alpha",
            )

    def look_at_classes(self, counts: Int[Tensor, "C C"], names: Sequence[str], step: int) -> None:
        """Judge a confusion matrix in pixels, labels in rows.

        Args:
            counts: over a whole validation set.
            names: of the classes.
            step: of the training.
        """
        self._validated += 1
        right, labelled, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
        scores = (right / (labelled + predicted - right).clamp_min(1)).tolist()
        self._predicted = [name for name, n in zip(names, predicted, strict=True) if n or name in self._predicted]
        for name, score, pixels in zip(names, scores, labelled.tolist(), strict=True):
            best = self._best[name] = max(score, self._best.get(name, 0.0))
            if pixels and score == 0 and best > self.learned:
                self._tell(
                    f"class {name}",
                    f"{name} has collapsed: no pixel of it is right at step {step}, where its IoU has been "
                    f"{100 * best:.1f} %",
                )
        never = [name for name, n in zip(names, labelled, strict=True) if n and name not in self._predicted]
        if never and self._validated >= self.validations:
            self._tell("never", f"never predicted in {self._validated} validations: {', '.join(never)}")

    def state_dict(self) -> dict[str, Any]:
        """Return what has been seen and told."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what a run that is resumed has seen and told."""
        vars(self).update(state_dict)

    def _tell(self, what: str, sentence: str) -> None:
        if what not in self._told:
            self._told.append(what)
            log.warning(sentence)
