"""A dilated depthwise convolution, in the form that is fast where it runs."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hrda_lit.ops.backends import compiled_for_gpu

_Area = tuple[slice, slice]  # rows and columns of a map
FAST = 6  # dilations up to this one are quick in PyTorch's CPU convolution, forwards


def depthwise(
    x: Float[Tensor, "B C h w"], weight: Float[Tensor, "C 1 kh kw"], dilation: int
) -> Float[Tensor, "B C h w"]:
    """Convolve each channel with a kernel of its own, in the form that is fast where it runs.

    Args:
        x: maps.
        weight: weight of a convolution of C groups; odd sides.
        dilation: cells from one tap to the next, >= 1.

    Returns:
        Maps of the same size; zeros lie around, the stride is 1.
    """
    if compiled_for_gpu(x):  # without a compiler, the GPU library's convolution is faster
        return shifted_depthwise(x, weight, dilation)
    if goes_by_phases(x):
        return depthwise_by_phases(x, weight, dilation)
    padding = [dilation * (side // 2) for side in weight.shape[-2:]]
    return F.conv2d(x, weight, None, 1, padding, dilation, len(weight))


def goes_by_phases(x: Tensor) -> bool:
    """Return whether `depthwise` goes phase by phase; compiled and exported, it stays one operator."""
    return x.is_cpu and not torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def shifted_depthwise(
    x: Float[Tensor, "B C h w"], weight: Float[Tensor, "C 1 kh kw"], dilation: int
) -> Float[Tensor, "B C h w"]:
    """Convolve as `depthwise` by shifted multiply-adds, for a compiler: cuDNN needs milliseconds for 1024 channels.

    Products are summed in float32 and rounded once, to the type that a convolution returns under autocast.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x, weight = (tensor.to(torch.get_autocast_dtype(device)) for tensor in (x, weight))
    return _Shifted.apply(x, weight, dilation)


class _Shifted(torch.autograd.Function):
    """Pads each tap by itself, so that a compiler writes no padded map.

    The backward pass shifts the outer gradient instead of x, so that only x itself is kept.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        total = torch.zeros((), device=x.device)
        for row, column, here, there in _taps(weight.shape[-2:], x.shape[-2:], dilation):
            total = total + _shift(x, there, here) * _tap_weight(weight, row, column)
        # Compiled by torch 2.11, a result that is cast to the type it has would have no gradient.
        return total if total.dtype == x.dtype else total.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        inner = torch.zeros((), device=x.device)
        sums = [torch.zeros(len(weight), device=x.device)] * weight[0].numel()
        for row, column, here, there in _taps(weight.shape[-2:], x.shape[-2:], ctx.dilation):
            shifted = _shift(outer, here, there)
            inner = inner + shifted * _tap_weight(weight, row, column)
            sums[row * weight.shape[-1] + column] = (shifted * x.float()).sum((0, 2, 3))
        return inner.to(x.dtype), torch.stack(sums, 1).view_as(weight).to(weight.dtype), None


def _tap_weight(weight: Float[Tensor, "C 1 kh kw"], row: int, column: int) -> Float[Tensor, "1 C 1 1"]:
    return weight[:, 0, row, column].float().view(1, -1, 1, 1)


def _shift(x: Float[Tensor, "B C h w"], there: _Area, here: _Area) -> Float[Tensor, "B C h w"]:
    """Move the part `there` of a map to `here`, in float32, with zeros around it."""
    (rows, columns), (height, width) = here, x.shape[-2:]
    padding = (columns.start, width - columns.stop, rows.start, height - rows.stop)
    return F.pad(x[(..., *there)], padding).float()


def depthwise_by_phases(
    x: Float[Tensor, "B C h w"], weight: Float[Tensor, "C 1 kh kw"], dilation: int
) -> Float[Tensor, "B C h w"]:
    """Convolve as `depthwise`, phase by phase, for a CPU.

    With a dilation of d, only every d-th row and column see each other: d x d small images with an ordinary
    convolution. For four maps of 1024 x 32 x 32 at dilation 18, PyTorch's own takes 90 ms forward and 160
    backward, this one 7 and 25; in bfloat16 90 and 280 become 4 and 25. Gradients of weights are summed in
    float32.
    """
    return _ByPhases.apply(x, weight, dilation)


class _ByPhases(torch.autograd.Function):
    """Under autocast, the convolution inside casts its inputs, and a weight once a step like any other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolve(x, weight, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        inner = kernel = None
        if ctx.needs_input_grad[0]:
            inner = _convolve(outer, weight.flip(2, 3).to(outer.dtype), ctx.dilation)
        if ctx.needs_input_grad[1]:
            kernel = _weight_gradient(x.to(outer.dtype), outer, weight, ctx.dilation)
        return inner, kernel, None


def _convolve(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    margins = [side // 2 for side in weight.shape[-2:]]
    if dilation <= FAST:
        return F.conv2d(x, weight, None, 1, [dilation * margin for margin in margins], dilation, len(weight))
    size = (x.shape[-2], x.shape[-1])
    every = (min(dilation, size[0]), min(dilation, size[1]))  # beyond the map are only zeros
    phases = F.conv2d(_split_phases(x, every), weight, None, 1, margins, 1, len(weight))
    whole = _join_phases(phases, every)[..., : size[0], : size[1]]
    return whole.contiguous(memory_format=torch.channels_last)  # a view of a larger map slows BatchNorm down


def _split_phases(x: Float[Tensor, "B C h w"], every: tuple[int, int]) -> Float[Tensor, "N C r c"]:
    """Make an image of each phase: the rows and columns that are `every` so many apart."""
    batch, channels, *size = x.shape
    rows, columns = (-(-extent // step) for extent, step in zip(size, every, strict=True))
    # Channels last, so that copies move whole cells.
    filled = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, columns * every[1] - size[1], 0, rows * every[0] - size[0]))
    grid = filled.reshape(batch, rows, every[0], columns, every[1], channels).permute(0, 2, 4, 1, 3, 5)
    return grid.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)


def _join_phases(phases: Float[Tensor, "N C r c"], every: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """Invert `_split_phases`, up to its padding."""
    _, channels, rows, columns = phases.shape
    grid = phases.permute(0, 2, 3, 1).reshape(-1, *every, rows, columns, channels).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(-1, rows * every[0], columns * every[1], channels).permute(0, 3, 1, 2)


def _taps(kernel: torch.Size, size: torch.Size, dilation: int) -> Iterator[tuple[int, int, _Area, _Area]]:
    """Yield row and column of taps that read more than zeros, what of the output they add to, and what they read."""
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            down, right = (row - kernel[0] // 2) * dilation, (column - kernel[1] // 2) * dilation
            if abs(down) < size[0] and abs(right) < size[1]:
                here = _overlap(size[0], -down), _overlap(size[1], -right)
                there = _overlap(size[0], down), _overlap(size[1], right)
                yield row, column, here, there


def _overlap(extent: int, shift: int) -> slice:
    return slice(max(0, shift), extent - max(0, -shift))


def _weight_gradient(x: Tensor, outer: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Return the gradient of the weight, tap by tap."""
    kind = torch.promote_types(weight.dtype, torch.float32)
    x, outer, gradient = x.to(kind), outer.to(kind), torch.zeros_like(weight, dtype=kind)
    for row, column, here, there in _taps(weight.shape[-2:], x.shape[-2:], dilation):
        gradient[:, 0, row, column] = (outer[(..., *here)] * x[(..., *there)]).sum((0, 2, 3))
    return gradient.to(weight.dtype)
