"""Differences between a CPU, a GPU and code that is compiled for a GPU."""

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
    """Return `yes()` where the flag is true and else `no()`, tensors of one shape, without a host sync.

    A GPU computes both: reading the flag would make the host wait, and a replayed graph cannot skip anything.
    A CPU computes only the one that is returned.
    """
    if reading_is_free(flag):
        return yes() if bool(flag) else no()
    return torch.where(flag, yes(), no())


def along_classes(logits: Float[Tensor, "B C H W"]) -> tuple[Tensor, int]:
    """Return logits and the axis of their classes, for functions that would copy channels-last tensors.

    Returns:
        A view of shape (B, H, W, C) and -1 of channels-last logits, any other logits unchanged and 1.
    """
    if logits.is_contiguous(memory_format=torch.channels_last):
        return logits.permute(0, 2, 3, 1), -1
    return logits, 1
