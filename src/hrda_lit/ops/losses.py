"""The losses: pixel-weighted cross entropy, entropy and the feature distance."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hrda_lit.ops.backends import along_classes
from hrda_lit.ops.logits import current_rows, tiles
from hrda_lit.ops.resize import resize


def pixel_weighted_cross_entropy(
    logits: Float[Tensor, "B C h w"],
    label: Int[Tensor, "B H W"],
    weight: Float[Tensor, "B H W"] | None = None,
    ignore: int = 255,
) -> Float[Tensor, ""]:
    """Compute L_ce(y_hat, y, q) in nats: logits are upsampled to the label, each pixel counts q.

    The mean runs over all pixels, ignored and zero-weight ones included (docs/official.md 1), so that an
    image with few known pixels moves the student little.

    Args:
        logits: unnormalised class scores at the network's output stride.
        label: class ids; `ignore` where unknown, which adds nothing.
        weight: q, >= 0; None means 1 everywhere.
        ignore: id of unknown pixels.

    Raises:
        ValueError: if `rows_at_once` is set and the label's height is not a multiple of the logits'.

    User's document, "Loss", L_ce.
    """
    rows = current_rows()
    if rows is not None:
        return _TiledCrossEntropy.apply(logits, label, weight, ignore, rows)
    height, width = label.shape[-2:]
    loss = _pixel_cross_entropy(resize(logits, (height, width)), label.long(), ignore)
    return (loss if weight is None else loss * weight).mean()


def _pixel_cross_entropy(
    logits: Float[Tensor, "B C H W"], label: Int[Tensor, "B H W"], ignore: int
) -> Float[Tensor, "B H W"]:
    # `F.cross_entropy` copies channels-last images, half of its time on a CPU, but not a list of pixels.
    scores, axis = along_classes(logits)
    if axis == 1:
        return F.cross_entropy(scores, label, ignore_index=ignore, reduction="none")
    losses = F.cross_entropy(scores.flatten(0, 2), label.flatten(), ignore_index=ignore, reduction="none")
    return losses.view_as(label)


class _TiledCrossEntropy(torch.autograd.Function):
    """The same tile by tile, each with its backward pass; only the small logits' gradient is kept."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, label: Tensor, weight: Tensor | None, ignore: int, rows: int
    ) -> Float[Tensor, ""]:
        total = torch.zeros((), dtype=torch.promote_types(logits.dtype, torch.float32), device=logits.device)
        gradient = torch.zeros_like(logits, dtype=total.dtype)
        for tile in tiles(logits.shape[-2], (label.shape[-2], label.shape[-1]), rows):
            cells = logits[..., tile.cells, :].detach().requires_grad_()
            part = label[..., tile.rows, :].long()
            with torch.enable_grad():
                loss = _pixel_cross_entropy(tile.upsample(cells), part, ignore)
                # Divided by the number of pixels only later: 16 bits would underflow.
                summed = (loss if weight is None else loss * weight[..., tile.rows, :]).sum()
            total += summed.detach()
            if ctx.needs_input_grad[0]:
                gradient[..., tile.cells, :] += torch.autograd.grad(summed, cells)[0]
        ctx.pixels, ctx.dtype = label.numel(), logits.dtype
        ctx.save_for_backward(gradient)
        return total / label.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return (gradient * (outer / ctx.pixels)).to(ctx.dtype), None, None, None, None


def entropy(logits: Float[Tensor, "B C H W"]) -> Float[Tensor, ""]:
    """Compute the mean entropy of predictions as a share of the largest, log C: in [0, 1].

    ADVENT equations 2 and 3.
    """
    return pixel_entropy(logits).mean() / math.log(logits.shape[1])


def pixel_entropy(logits: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H W"]:
    """Compute the entropy of each pixel's prediction in nats, in [0, log C]."""
    scores, axis = along_classes(logits)
    logs = scores.log_softmax(axis)
    return -(logs.exp() * logs).sum(axis)


def downscale_label(
    label: Int[Tensor, "B H W"], factor: int, min_ratio: float, num_classes: int, ignore: int = 255
) -> Int[Tensor, "B h w"]:
    """Shrink a label by majority: y_S,small.

    A cell takes its commonest class if that class covers at least `min_ratio` of the whole cell, ignored
    pixels included in the count, and `ignore` otherwise.

    Args:
        label: class ids in [0, num_classes) or `ignore`.
        factor: side of a cell in pixels.
        min_ratio: share in (0, 1]; 0.75 in DAFormer.
        num_classes: number of classes.
        ignore: id of unknown pixels.

    DAFormer section 3.3; user's document, "M_things".
    """
    known = torch.where(label == ignore, num_classes, label).long()
    rows, columns = (extent // factor for extent in label.shape[-2:])
    whole = known[:, : rows * factor, : columns * factor].reshape(-1, rows, factor, columns, factor)
    cells = whole.transpose(2, 3).flatten(3)
    counts = torch.zeros(*cells.shape[:3], num_classes + 1, device=label.device)
    share, small = counts.scatter_add_(3, cells, torch.ones_like(cells, dtype=counts.dtype)).max(dim=3)
    unknown = (small == num_classes) | (share < min_ratio * factor**2)
    return torch.where(unknown, ignore, small)


def thing_mask(small_label: Int[Tensor, "B h w"], things: frozenset[int]) -> Bool[Tensor, "B h w"]:
    """Mark the cells of classes with a well-defined shape: M_things (equation 10 in the user's document)."""
    # Not isin(): its second argument would be copied to the device in every step.
    mask = torch.zeros_like(small_label, dtype=torch.bool)
    for thing in things:
        mask = mask | (small_label == thing)
    return mask


def feature_distance(
    features: Float[Tensor, "B C h w"],
    imagenet_features: Float[Tensor, "B C h w"],
    mask: Bool[Tensor, "B h w"] | None = None,
) -> Float[Tensor, ""]:
    """Compute L_FD: the mean Euclidean distance to the ImageNet features over M_things, or everywhere.

    Exactly 0 on an empty mask (official: NaN with zero gradient).

    DAFormer section 3.3; user's document, "L_FD".
    """
    distance: Tensor = torch.linalg.vector_norm(features - imagenet_features, dim=1)
    if mask is None:
        return distance.mean()
    return (distance * mask).sum() / mask.sum().clamp(min=1)
