"""The exponential moving average that makes the teacher."""

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


def ema_momentum(step: int, alpha: float) -> float:
    """Return alpha_t = min(1 - 1 / (t + 1), alpha), the weight of the teacher's old parameters.

    Args:
        step: t >= 0, counted before the student's step; t = 0 copies the student.
        alpha: momentum reached after the warm-up, in [0, 1].

    DAFormer section 3.2; user's document, g_phi.
    """
    return min(1 - 1 / (step + 1), alpha)


@torch.no_grad()
def ema_update_(teacher: nn.Module, student: nn.Module, step: int, alpha: float) -> None:
    """Move the teacher's parameters towards the student's: phi <- alpha_t phi + (1 - alpha_t) theta.

    Parameters only: the teacher keeps BatchNorm buffers of its own (docs/official.md 12).

    DAFormer section 3.2.
    """
    ema_move_(detached(teacher), detached(student), step, alpha)


def ema_move_(teacher: list[Tensor], student: list[Tensor], step: int, alpha: float) -> None:
    """Move listed parameters as `ema_update_` does, all in few launches."""
    torch._foreach_lerp_(teacher, student, 1 - ema_momentum(step, alpha))


@torch.no_grad()
def parameter_distance(teacher: nn.Module, student: nn.Module) -> float:
    """Return the Euclidean distance between all parameters of teacher and student."""
    differences = torch._foreach_sub(detached(teacher), detached(student))
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(differences))))


def relative_distance(teacher: nn.Module, student: nn.Module) -> float:
    """Return how far the teacher is from the student, ||theta - phi|| / ||theta|| over all parameters."""
    return parameter_distance(teacher, student) / float(get_total_norm(detached(student)))


def detached(module: nn.Module) -> list[Tensor]:
    """List the parameters of a module, for changes that autograd does not see."""
    return [parameter.detach() for parameter in module.parameters()]
