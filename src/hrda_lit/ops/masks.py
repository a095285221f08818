"""Masks of mixed images: the classes that ClassMix pastes, and the blocks that MIC hides."""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

IDS = 256  # labels are uint8


def draw_priorities(batch: int, generator: torch.Generator) -> Int[Tensor, "B 256"]:
    """Draw a random order of all ids for each sample.

    The first half in it of the classes that occur is a draw without replacement, made before they are known.
    """
    return torch.stack([torch.randperm(IDS, generator=generator) for _ in range(batch)])


def batch_classes(label: Int[Tensor, "B H W"]) -> Bool[Tensor, " 256"]:
    """Mark the ids that occur in the whole batch, the ignored one included.

    official: classes are those of the batch, not of the sample, and 255 is one of them (docs/official.md 3,
    the authors call it unintended); here: the same, so a sample may get fewer than half of its own classes.
    """
    present = torch.zeros(IDS, dtype=torch.bool, device=label.device)
    return present.index_fill(0, label.flatten().long(), True)


def sample_classes(label: Int[Tensor, "B H W"], ignore: int) -> Bool[Tensor, "B 256"]:
    """Mark the classes that occur in each sample, as in the papers; `ignore` is the id of unknown pixels."""
    present = torch.zeros(label.shape[0], IDS, dtype=torch.bool, device=label.device)
    present = present.scatter(1, label.flatten(1).long(), True)
    return present.index_fill(1, label.new_full((1,), ignore).long(), False)


def choose_classes(present: Bool[Tensor, "*B 256"], priorities: Int[Tensor, "B 256"]) -> Bool[Tensor, "B 256"]:
    """Choose ceil(n / 2) of the n classes that occur in each sample: those of the highest priority.

    DACS section 3; DAFormer section 3.2.
    """
    ranked = priorities.masked_fill(~present, -1)
    higher = (ranked[:, None, :] > ranked[:, :, None]).sum(2)
    return present & (higher < (present.sum(-1, keepdim=True) + 1) // 2)


def class_mask(label: Int[Tensor, "B H W"], chosen: Bool[Tensor, "B 256"]) -> Bool[Tensor, "B H W"]:
    """Mark the pixels of each sample that show one of its chosen classes, where the source is pasted."""
    return chosen.gather(1, label.flatten(1).long()).view_as(label)


def paste(
    mask: Bool[Tensor, "B H W"], source: Shaped[Tensor, "B *C H W"], target: Shaped[Tensor, "B *C H W"]
) -> Shaped[Tensor, "B *C H W"]:
    """Take `source` where the mask is set and `target` elsewhere; images, labels and weights alike."""
    return torch.where(mask if source.dim() == mask.dim() else mask.unsqueeze(1), source, target)


def block_mask(
    draws: Float[Tensor, "B 1 rows columns"], ratio: float, size: tuple[int, int]
) -> Bool[Tensor, "B 1 H W"]:
    """Keep the blocks whose uniform draw exceeds the ratio; True where the image is kept.

    Args:
        draws: result of `draw_blocks`.
        ratio: share of blocks to hide, in [0, 1]; 0.7 in MIC.
        size: (height, width) of the image in pixels.

    MIC section 3.2, equation 5.
    """
    return F.interpolate((draws > ratio).float(), size=size, mode="nearest").bool()


def draw_blocks(
    batch: int, size: tuple[int, int], block: int, generator: torch.Generator
) -> Float[Tensor, "B 1 rows columns"]:
    """Draw one uniform number in [0, 1) per block: round(H / block) x round(W / block), at least one.

    Args:
        batch: number of images.
        size: (height, width) in pixels.
        block: side of a block in pixels; 64 at high resolution in MIC.
        generator: source of randomness (CPU).

    MIC section 3.2.
    """
    rows, columns = (max(1, round(extent / block)) for extent in size)
    return torch.rand(batch, 1, rows, columns, generator=generator)
