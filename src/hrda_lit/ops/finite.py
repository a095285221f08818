"""Telling what is no number where it is, on its device, so that the host need not wait for an answer."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


def soundness(*tensors: Tensor) -> Float[Tensor, ""]:
    """Return a factor that spoils what is multiplied by it, where something else is spoilt.

    Args:
        tensors: floating, of any shapes; none at all are sound.

    Returns:
        1, or NaN if a number is NaN or infinite, or so large that squares overflow.
    """
    return 1 + 0 * get_total_norm(tensors).square()


def spoilt(*tensors: Tensor) -> Bool[Tensor, ""]:
    """Return whether a number is NaN or infinite, or so large that squares overflow (1.8e19 in float32)."""
    return ~get_total_norm(tensors).square().isfinite()


def statistics(networks: Iterable[nn.Module | None]) -> list[Tensor]:
    """List what networks gather in forward passes, which is their buffers, e.g. the means of BatchNorm."""
    return [buffer for network in networks if network is not None for buffer in network.buffers()]


@torch.no_grad()
def restore_(tensors: Sequence[Tensor], before: Sequence[Tensor], where: Bool[Tensor, ""]) -> None:
    """Put back what tensors held before, if `where` says so, without asking the device.

    Args:
        tensors: changed in place.
        before: copies of them.
        where: whether to.
    """
    for tensor, old in zip(tensors, before, strict=True):
        tensor.copy_(torch.where(where, old, tensor))
