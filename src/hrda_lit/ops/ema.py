"""The exponential moving average that makes the teacher."""

from collections.abc import Iterable

import torch
from torch import nn


def ema_momentum(step: int, alpha: float) -> float:
    """Return alpha_t = min(1 - 1 / (t + 1), alpha).

    Args:
        step: t >= 0, counted before the student's step; t = 0 copies the student.
        alpha: momentum reached after the warm-up, in [0, 1].

    Returns:
        The weight that the teacher's old parameters keep.

    DAFormer section 3.2; user's document, g_phi.
    """
    return min(1 - 1 / (step + 1), alpha)


@torch.no_grad()
def ema_update_(teacher: nn.Module, student: nn.Module, step: int, alpha: float) -> None:
    """Move the teacher's parameters towards the student's: phi <- alpha_t phi + (1 - alpha_t) theta.

    Parameters only: the teacher keeps BatchNorm buffers of its own (docs/official.md 12).

    Args:
        teacher: changed in place.
        student: same architecture.
        step: t, see `ema_momentum`.
        alpha: see `ema_momentum`.

    DAFormer section 3.2.
    """
    momentum = ema_momentum(step, alpha)
    torch._foreach_lerp_(_parameters(teacher), _parameters(student), 1 - momentum)


@torch.no_grad()
def parameter_distance(teacher: nn.Module, student: nn.Module) -> float:
    """Return the Euclidean distance between all parameters of teacher and student."""
    differences = torch._foreach_sub(_parameters(teacher), _parameters(student))
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(differences))))


def _parameters(module: nn.Module) -> list[torch.Tensor]:
    parameters: Iterable[torch.Tensor] = module.parameters()
    return [parameter.detach() for parameter in parameters]
