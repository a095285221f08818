"""What operators do differently by where they run: on a CPU, on a GPU, compiled for a GPU."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake


def compiled_for_gpu(x: Tensor) -> bool:
    """Return whether the code is being compiled, not exported, for the GPU that `x` lies on."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting() and x.is_cuda


def reading_is_free(x: Tensor) -> bool:
    """Return whether the host can read a tensor without waiting for a device."""
    return x.device.type == "cpu" and not is_fake(x)


def choose(flag: Bool[Tensor, ""], yes: Callable[[], Tensor], no: Callable[[], Tensor]) -> Tensor:
    """Return what `yes` or what `no` computes, without a host sync.

    A GPU computes both and takes one: reading the flag would make the host wait, and a replayed graph cannot
    leave anything out. On a CPU only what is taken is computed.

    Args:
        flag: which.
        yes: computes a tensor.
        no: computes one of the same shape.
    """
    if reading_is_free(flag):
        return yes() if bool(flag) else no()
    return torch.where(flag, yes(), no())


def along_classes(logits: Float[Tensor, "B C H W"]) -> tuple[Tensor, int]:
    """Return scores and the axis of their classes, for functions that would copy channels-last tensors.

    Returns:
        The same numbers as (B, H, W, C) and -1 if memory has them so, else as they are and 1. A reduction
        over the axis is (B, H, W) either way.
    """
    if logits.is_contiguous(memory_format=torch.channels_last):
        return logits.permute(0, 2, 3, 1), -1
    return logits, 1
