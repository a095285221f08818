"""Class scores in the order in which memory has them."""

import torch
from jaxtyping import Float
from torch import Tensor


def along_classes(logits: Float[Tensor, "B C H W"]) -> tuple[Tensor, int]:
    """Return scores and the axis of their classes, for functions along it that would copy channels-last tensors.

    Args:
        logits: class scores in any layout.

    Returns:
        The same numbers as (B, H, W, C) and -1 where memory has them so, else as they are and 1. What a function leaves
        of each pixel is (B, H, W) either way.
    """
    if logits.is_contiguous(memory_format=torch.channels_last):
        return logits.permute(0, 2, 3, 1), -1
    return logits, 1
