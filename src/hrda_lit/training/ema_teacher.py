"""The mean teacher: a moving average of the student."""

from typing import TYPE_CHECKING, Any, Literal, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from hrda_lit.config.ranges import Share
from hrda_lit.config.values import check_arguments

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


def ema_momentum(step: int, alpha: float) -> float:
    """Return alpha_t = min(1 - 1 / (t + 1), alpha), the weight of the teacher's old parameters.

    Args:
        step: t >= 0, counted before the student's step; t = 0 copies the student.
        alpha: momentum reached after the warm-up, in [0, 1].

    DAFormer section 3.2; user's document, g_phi.
    """
    return min(1 - 1 / (step + 1), alpha)


def ema_update_(teacher: list[Tensor], student: list[Tensor], step: int, alpha: float) -> None:
    """Move the teacher's parameters towards the student's: phi <- alpha_t phi + (1 - alpha_t) theta.

    Parameters only: the teacher keeps BatchNorm buffers of its own (docs/official.md 12).

    Args:
        teacher: its `detached` parameters, changed in place.
        student: those of the student, in the same order.
        step: see `ema_momentum`.
        alpha: see `ema_momentum`.

    DAFormer section 3.2.
    """
    torch._foreach_lerp_(teacher, student, 1 - ema_momentum(step, alpha))


def relative_distance(teacher: nn.Module, student: nn.Module) -> float:
    """Return ||theta - phi|| / ||theta|| over all parameters of student (theta) and teacher (phi)."""
    theta, phi = detached(student), detached(teacher)
    return float(get_total_norm(torch._foreach_sub(phi, theta))) / float(get_total_norm(theta))


def detached(module: nn.Module) -> list[Tensor]:
    """List the parameters of a module, for changes that autograd does not see."""
    return [parameter.detach() for parameter in module.parameters()]
