"""How good a network is on images without labels: how sure it is, and whether another agrees."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from hrda_lit.ops.losses import pixel_entropy


def relative_entropy(logits: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H W"]:
    """Return the entropy of each pixel's prediction, as a share of the largest that C classes can have.

    Args:
        logits: class scores, C >= 2.

    Returns:
        The sum over classes of -p_c log p_c, divided by log C, in [0, 1]; 0 is sure, 1 knows nothing.
    """
    return pixel_entropy(logits.float()) / math.log(logits.shape[1])


def agreement(
    one: Float[Tensor, "B C H W"], other: Float[Tensor, "B C H W"], valid: Float[Tensor, "B H W"]
) -> Float[Tensor, "3"]:
    """Sum up over trusted pixels how sure `one` is and where `other` takes the same class.

    Args:
        one: class scores of the network that is judged.
        other: of the one it is compared with.
        valid: weight of each pixel, e.g. 0 in the margins and in padding.

    Returns:
        Sums of relative entropy, of equal classes, and of weights, to be added up over images and devices; NaN where
        a logit is NaN or infinite.
    """
    same = (one.argmax(dim=1) == other.argmax(dim=1)).float()
    # A comparison makes a number of NaN.
    same = same + 0 * (one.float().sum(dim=1) + other.float().sum(dim=1))
    return torch.stack([(relative_entropy(one) * valid).sum(), (same * valid).sum(), valid.sum()])
