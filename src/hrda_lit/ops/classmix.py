"""ClassMix: paste half of the source's classes into a target image."""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

IDS = 256  # labels are uint8


def draw_priorities(batch: int, generator: torch.Generator) -> Int[Tensor, "B 256"]:
    """Draw, for each sample, which classes go before which.

    Ranking the classes that occur by such priorities, and taking the first half, draws half of them without
    replacement; which ones occur need not be known yet.

    Args:
        batch: number of samples.
        generator: source of randomness (CPU).

    Returns:
        A permutation of all ids for each sample.
    """
    return torch.stack([torch.randperm(IDS, generator=generator) for _ in range(batch)])


def batch_classes(label: Int[Tensor, "B H W"]) -> Bool[Tensor, " 256"]:
    """Tell which ids occur in the whole batch, the ignored one included.

    official: classes are those of the batch, not of the sample, and 255 is one of them (docs/official.md 3,
    the authors call it unintended); here: the same, so a sample may get fewer than half of its own classes.
    """
    present = torch.zeros(IDS, dtype=torch.bool, device=label.device)
    return present.index_fill(0, label.flatten().long(), True)


def sample_classes(label: Int[Tensor, "B H W"], ignore: int) -> Bool[Tensor, "B 256"]:
    """Tell which classes occur in each sample, as the papers have it; unknown pixels are of none.

    Args:
        label: class ids.
        ignore: the id of unknown pixels.
    """
    present = torch.zeros(label.shape[0], IDS, dtype=torch.bool, device=label.device)
    return present.scatter(1, label.flatten(1).long(), True).index_fill(1, label.new_full((1,), ignore).long(), False)


def choose_classes(present: Bool[Tensor, "*B 256"], priorities: Int[Tensor, "B 256"]) -> Bool[Tensor, "B 256"]:
    """Choose ceil(n / 2) of the n classes that occur: those of the highest priority.

    Args:
        present: candidates, for all samples or for each.
        priorities: see `draw_priorities`.

    Returns:
        True for the chosen ids of each sample.

    DACS section 3; DAFormer section 3.2.
    """
    ranked = priorities.masked_fill(~present, -1)
    higher = (ranked[:, None, :] > ranked[:, :, None]).sum(2)
    return present & (higher < (present.sum(-1, keepdim=True) + 1) // 2)


def class_mask(label: Int[Tensor, "B H W"], chosen: Bool[Tensor, "B 256"]) -> Bool[Tensor, "B H W"]:
    """Mark the pixels of each sample that show one of its chosen classes.

    Args:
        label: source labels.
        chosen: for each sample.

    Returns:
        True where the source is pasted.
    """
    return chosen.gather(1, label.flatten(1).long()).view_as(label)


def paste(
    mask: Bool[Tensor, "B H W"], source: Shaped[Tensor, "B *C H W"], target: Shaped[Tensor, "B *C H W"]
) -> Shaped[Tensor, "B *C H W"]:
    """Take `source` where the mask is set and `target` elsewhere; images, labels and weights alike."""
    return torch.where(mask if source.dim() == mask.dim() else mask.unsqueeze(1), source, target)
