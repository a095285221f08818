"""Detect NaN and infinity on the device, without a host sync."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils import get_total_norm


def all_finite(*tensors: Float[Tensor, "*shape"]) -> Bool[Tensor, ""]:
    """Return whether no number is NaN or infinite; tensors of any shapes lie on one device."""
    finite = torch.ones((), dtype=torch.bool, device=tensors[0].device if tensors else None)
    for tensor in tensors:
        if tensor.numel():
            # Not tensor.isfinite(), which needs a quarter of its memory again.
            low, high = tensor.aminmax()
            finite = finite & low.isfinite() & high.isfinite()
    return finite


def squares_finite(*tensors: Tensor) -> Bool[Tensor, ""]:
    """Return whether no number is NaN, infinite, or so large that squares overflow (1.8e19 in float32)."""
    return get_total_norm(tensors).square().isfinite()


def nan_factor(*tensors: Tensor) -> Float[Tensor, ""]:
    """Return 1, or NaN where `squares_finite` is false; a loss multiplied by it has NaN gradients then."""
    return 1 + 0 * get_total_norm(tensors).square()


def require_finite(logits: Float[Tensor, "*shape"]) -> None:
    """Reject logits that are not finite, whose argmax would be class 0; waits for the device.

    Raises:
        ValueError: if one is NaN or infinite.
    """
    if not all_finite(logits):
        raise ValueError("the network predicts NaN or infinity; its training diverged, use an earlier checkpoint.")
