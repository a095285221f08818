"""The mean teacher: a moving average of the student."""

from typing import TYPE_CHECKING, Any, Literal, cast

import lightning as L
from torch import Tensor

from hrda_lit.config.ranges import Share
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.ema import detached, ema_update_

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule


@check_arguments
class EMATeacher(L.Callback):
    """Move the teacher towards the student at the start of every step.

    The teacher lives in the LightningModule, so it is saved and resumed with everything else.

    Args:
        alpha: momentum in [0, 1]; the first steps use min(1 - 1 / (t + 1), alpha).
        validate: whether validation scores the "student" (docs/official.md 12) or the "teacher".

    DAFormer section 3.2; user's document, g_phi.
    """

    def __init__(self, alpha: Share = 0.999, validate: Literal["student", "teacher"] = "student") -> None:
        self.alpha, self.validate = alpha, validate
        self._weights: tuple[list[Tensor], list[Tensor]] = ([], [])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Cache both parameter lists; listing them in every step costs host time."""
        module = cast("UDAModule", pl_module)
        assert module.teacher is not None
        self._weights = detached(module.teacher), detached(module.student)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Update the teacher before it labels the batch."""
        ema_update_(*self._weights, trainer.global_step, self.alpha)
