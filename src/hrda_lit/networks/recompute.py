"""Networks that hold less: activations that are computed again in the backward pass, or 16 bits instead of 32."""

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


class InBfloat16(nn.Module):
    """What `predict_in_bfloat16_` mixes into the class of a segmentor."""

    def views(self, image: Tensor, smooth: bool = False) -> Any:
        """Predict under autocast, see `Segmentor.views`."""
        with torch.autocast(image.device.type, torch.bfloat16):
            return super().views(image, smooth)  # type: ignore[misc]


def recompute(module: nn.Module) -> None:
    """Let a module compute its activations again in the backward pass instead of keeping them.

    Output, gradients and statistics of BatchNorm are the same, to the last bit where kernels are
    deterministic. The module is changed in place.
    """
    _mix_in(Recomputed, module)


def predict_in_bfloat16_(segmentor: nn.Module) -> None:
    """Let a segmentor predict whole images under autocast; its weights keep their type."""
    _mix_in(InBfloat16, segmentor)


def store_in_bfloat16_(encoder: nn.Module) -> None:
    """Store the weights of an encoder in 16 bits; images of any type can still be encoded."""
    encoder.to(torch.bfloat16).register_forward_pre_hook(_cast_image)


def _cast_image(_: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(image.to(torch.bfloat16) for image in images)


def _mix_in(mixin: type[nn.Module], module: nn.Module) -> None:
    kind = type(module)
    if not isinstance(module, mixin):
        module.__class__ = type(f"{mixin.__name__}{kind.__name__}", (mixin, kind), {})


def blocks(encoder: nn.Module) -> Iterator[nn.Module]:
    """List the blocks that an encoder repeats: the items of its outermost lists that have parts of their own."""
    repeats = isinstance(encoder, nn.Sequential | nn.ModuleList)
    for child in encoder.children():
        if repeats and any(True for _ in child.children()):
            yield child
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
