"""ClassMix: paste half of the source's classes into a target image."""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor


def batch_classes(label: Int[Tensor, "B H W"]) -> Int[Tensor, " n"]:
    """List the classes of the whole batch, ascending, the ignored id included.

    official: classes are those of the batch, not of the sample, and 255 is one of them (docs/official.md 3,
    the authors call it unintended); here: the same, so a sample may get fewer than half of its own classes.
    """
    classes: Tensor = torch.unique(label)
    return classes


def draw_classes(classes: Int[Tensor, " n"], generator: torch.Generator) -> Int[Tensor, " k"]:
    """Draw ceil(n / 2) of the classes without replacement.

    Args:
        classes: candidates.
        generator: source of randomness (CPU).

    Returns:
        The chosen class ids.

    DACS section 3; DAFormer section 3.2.
    """
    order = torch.randperm(len(classes), generator=generator)
    return classes[order[: (len(classes) + 1) // 2].to(classes.device)]


def class_mask(label: Int[Tensor, "B H W"], chosen: list[Int[Tensor, " k"]]) -> Bool[Tensor, "B H W"]:
    """Mark the pixels of each sample that show one of its chosen classes.

    Args:
        label: source labels.
        chosen: one list of class ids per sample.

    Returns:
        True where the source is pasted.
    """
    return torch.stack([torch.isin(one, classes) for one, classes in zip(label, chosen, strict=True)])


def paste(
    mask: Bool[Tensor, "B H W"], source: Shaped[Tensor, "B *C H W"], target: Shaped[Tensor, "B *C H W"]
) -> Shaped[Tensor, "B *C H W"]:
    """Take `source` where the mask is set and `target` elsewhere; images, labels and weights alike."""
    return torch.where(mask if source.dim() == mask.dim() else mask.unsqueeze(1), source, target)
