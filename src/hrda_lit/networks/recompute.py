"""Parts of a network that keep their input alone, and compute everything else again on the way back."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint, noop_context_fn


class Recomputed(nn.Module):
    """What `recompute` mixes into the class of a module; its parameters keep their names."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute what the module computes, and keep nothing but `args` for the backward pass."""
        if not torch.is_grad_enabled():
            return super().forward(*args, **kwargs)
        # Dropout and drop path draw the same again: the states of the generators are put back.
        contexts = partial(_contexts, self) if _norms(self) else noop_context_fn
        return checkpoint(super().forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


def recompute(module: nn.Module) -> None:
    """Let a module compute its activations again on the way back instead of keeping them.

    Output, gradients and statistics of BatchNorm are the same, to the last bit where kernels are deterministic.

    Args:
        module: changed in place; copies of it do the same.
    """
    kind = type(module)
    if not isinstance(module, Recomputed):
        module.__class__ = type(f"Recomputed{kind.__name__}", (Recomputed, kind), {})


def blocks(encoder: nn.Module) -> Iterator[nn.Module]:
    """List the blocks of an encoder: the items of its outermost lists that have parts of their own.

    Args:
        encoder: e.g. a timm model, with four stages of blocks or with layers of them.
    """
    for child in encoder.children():
        if isinstance(child, nn.Sequential | nn.ModuleList) and any(any(part.children()) for part in child):
            yield from child
        else:
            yield from blocks(child)


def _contexts(module: nn.Module) -> tuple[contextlib.AbstractContextManager[Any], Any]:
    return contextlib.nullcontext(), _without_counting(module)


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [one for one in module.modules() if isinstance(one, _BatchNorm)]


@contextlib.contextmanager
def _without_counting(module: nn.Module) -> Iterator[None]:
    # Statistics of a batch are gathered once, by the first of the two passes.
    norms = _norms(module)
    before: list[tuple[float | None, Tensor | None]] = [(one.momentum, one.num_batches_tracked) for one in norms]
    for one in norms:
        one.momentum, one.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for one, (momentum, count) in zip(norms, before, strict=True):
            one.momentum, one.num_batches_tracked = momentum, count
