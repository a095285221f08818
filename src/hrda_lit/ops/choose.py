"""A choice that tensors make, without a wait for the device."""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake


def asking_is_free(x: Tensor) -> bool:
    """Return whether the host can read a tensor without waiting for a device."""
    return x.device.type == "cpu" and not is_fake(x)


def choose(flag: Bool[Tensor, ""], yes: Callable[[], Tensor], no: Callable[[], Tensor]) -> Tensor:
    """Return what `yes` or what `no` computes.

    A GPU computes both and takes one, because asking it for the flag would make the host wait, and a graph that is
    replayed cannot leave anything out. On a CPU asking costs nothing, so only what is taken is computed, unless the
    flag has a shape alone.

    Args:
        flag: which.
        yes: computes a tensor.
        no: computes one of the same shape.
    """
    if asking_is_free(flag):
        return yes() if bool(flag) else no()
    return torch.where(flag, yes(), no())
