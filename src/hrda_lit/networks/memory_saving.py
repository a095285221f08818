"""Save memory: recompute activations, apply heads in chunks, and compute in bfloat16."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint, noop_context_fn


class Recomputed(nn.Module):
    """Recompute activations in the backward pass: the mixin of `recompute`."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute as the module does; keep only `args` for the backward pass."""
        if not torch.is_grad_enabled():
            return super().forward(*args, **kwargs)
        # Dropout and drop path draw the same again: the states of the generators are put back.
        contexts = (lambda: (nullcontext(), _without_counting(self))) if _norms(self) else noop_context_fn
        return checkpoint(super().forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


class InBfloat16(nn.Module):
    """Predict under autocast: the mixin of `predict_in_bfloat16_`."""

    def views(self, image: Tensor, smooth: bool = False) -> Any:
        """Predict under autocast, see `Segmentor.views`."""
        with torch.autocast(image.device.type, torch.bfloat16):
            return super().views(image, smooth)  # type: ignore[misc]


def recompute(module: nn.Module) -> None:
    """Let a module recompute its activations in the backward pass, in place; its parameters keep their names.

    Output, gradients and statistics of BatchNorm stay the same, bit for bit if kernels are deterministic.
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
    """List the blocks that an encoder repeats: items of its outermost lists that have children."""
    repeats = isinstance(encoder, nn.Sequential | nn.ModuleList)
    for child in encoder.children():
        if repeats and any(True for _ in child.children()):
            yield child
        else:
            yield from blocks(child)


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [one for one in module.modules() if isinstance(one, _BatchNorm)]


@contextmanager
def _without_counting(module: nn.Module) -> Iterator[None]:
    # The first of the two passes has moved the running statistics.
    norms = _norms(module)
    before = [(one.momentum, one.num_batches_tracked) for one in norms]
    for one in norms:
        one.momentum, one.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for one, (momentum, count) in zip(norms, before, strict=True):
            one.momentum, one.num_batches_tracked = momentum, count


Moments = tuple[Tensor, Tensor, int]  # mean and variance of each channel, and how many numbers it has


@torch.no_grad()
def in_chunks(head: nn.Module, features: Sequence[Float[Tensor, "B C h w"]], count: int) -> Float[Tensor, "B K H W"]:
    """Apply a head to `count` inputs at a time; the result equals that of the whole batch up to rounding.

    Statistics of BatchNorm over the batch are found first: pass `n` finds those of layers behind `n` others.
    So the head runs `head.norm_depth` + 1 times, or without that attribute once per layer and once more.
    Running statistics move as they would.
    """
    chunks = [torch.split(level, count) for level in features]
    parts = [list(part) for part in zip(*chunks, strict=True)]
    norms = [one for one in _norms(head) if one.training]
    with _batch_statistics(head, norms, parts):
        return torch.cat([head(part) for part in parts])


@contextmanager
def _batch_statistics(head: nn.Module, norms: list[_BatchNorm], parts: list[list[Tensor]]) -> Iterator[None]:
    before = [(one.running_mean, one.running_var) for one in norms]
    for one in norms:
        one.training = False  # not by .eval() and .train(), which reach the parts of a layer
        one.running_mean = torch.zeros(one.num_features, device=parts[0][0].device)
        one.running_var = torch.ones_like(one.running_mean)
    depth = int(getattr(head, "norm_depth", len(norms))) if norms else 0
    found: list[Moments] = []
    try:
        for _ in range(depth):
            found = _find_moments(head, norms, parts)
            for one, (mean, variance, _) in zip(norms, found, strict=True):
                one.running_mean, one.running_var = mean, variance
        yield
    finally:
        for one, (running_mean, running_var) in zip(norms, before, strict=True):
            one.running_mean, one.running_var = running_mean, running_var
            one.training = True
    for one, moments in zip(norms, found, strict=True):
        _move_statistics(one, *moments)


def _find_moments(head: nn.Module, norms: list[_BatchNorm], parts: list[list[Tensor]]) -> list[Moments]:
    """Return the moments of the inputs of BatchNorm layers, with their present statistics."""
    found: list[list[Moments]] = [[] for _ in norms]
    with ExitStack() as stack:
        for norm, moments in zip(norms, found, strict=True):
            stack.callback(norm.register_forward_pre_hook(partial(_record, moments)).remove)
        for part in parts:
            head(part)
    return [_merge(moments) for moments in found]


def _record(found: list[Moments], layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    x = inputs[0]
    variance, mean = torch.var_mean(x.float(), dim=(0, *range(2, x.dim())), correction=0)
    found.append((mean, variance, x.numel() // x.shape[1]))


def _merge(parts: list[Moments]) -> Moments:
    total = sum(number for _, _, number in parts)
    mean = torch.stack([number / total * mean for mean, _, number in parts]).sum(0)
    spread = [number / total * (variance + (one - mean).square()) for one, variance, number in parts]
    return mean, torch.stack(spread).sum(0), total


def _move_statistics(norm: _BatchNorm, mean: Tensor, variance: Tensor, numbers: int) -> None:
    """Move running statistics as a forward pass over the whole batch does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    weight = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean += weight * (mean - norm.running_mean)
    norm.running_var += weight * (variance * (numbers / (numbers - 1)) - norm.running_var)
