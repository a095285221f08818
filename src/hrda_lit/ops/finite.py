"""Detect NaN and infinity on the device, without a host sync."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


def all_finite(*tensors: Float[Tensor, "*shape"]) -> Bool[Tensor, ""]:
    """Return whether no number is NaN or infinite; tensors of any shapes lie on one device."""
    # Not isfinite() of each, which needs a quarter of their memory again.
    extremes = [extreme.isfinite() for tensor in tensors if tensor.numel() for extreme in tensor.aminmax()]
    device = tensors[0].device if tensors else None
    return torch.stack(extremes).all() if extremes else torch.ones((), dtype=torch.bool, device=device)


def squares_finite(*tensors: Tensor) -> Bool[Tensor, ""]:
    """Return whether no number is NaN, infinite, or so large that squares overflow (1.8e19 in float32)."""
    return get_total_norm(tensors).square().isfinite()


def nan_factor(*tensors: Tensor) -> Float[Tensor, ""]:
    """Return 1, or NaN where `squares_finite` is false; a loss multiplied by it has NaN gradients then."""
    return 1 + 0 * get_total_norm(tensors).square()


def require_finite(logits: Float[Tensor, "*shape"]) -> None:
    """Reject logits that are not finite, of which the largest would be class 0; waits for the device.

    Raises:
        ValueError: if one is NaN or infinite.
    """
    if not all_finite(logits):
        raise ValueError("the network predicts NaN or infinity; its training diverged, use an earlier checkpoint.")


def statistics(networks: Iterable[nn.Module | None]) -> list[Tensor]:
    """List the buffers of networks, which forward passes change, e.g. the means of BatchNorm."""
    return [buffer for network in networks if network is not None for buffer in network.buffers()]
