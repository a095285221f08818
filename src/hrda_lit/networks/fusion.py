"""Multi-resolution fusion: the scale attention decides where detail replaces context."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hrda_lit.config.ranges import Share
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.boxes import DeviceBox, mask_outside, paste
from hrda_lit.ops.resize import resize


def fuse(
    context: Float[Tensor, "B C h w"],
    masked_attention: Float[Tensor, "B K h w"],
    padded_detail: Float[Tensor, "B C H W"],
) -> Float[Tensor, "B C H W"]:
    """Sum context and detail by attention: y_{c,F} = zeta((1 - a'_c) y_c, s) + zeta(a'_c, s) y'_d.

    official: the mask is applied before the upsampling, so a'_c leaks about one pixel over the box, where
    y'_d is 0 (docs/official.md 8); here: the same, it is the document's formula.

    Args:
        context: logits y_c.
        masked_attention: attention a'_c, one map per class or one for all.
        padded_detail: logits y'_d.

    HRDA section 3.3; user's document, y_{c,F}.
    """
    size = (padded_detail.shape[-2], padded_detail.shape[-1])
    return resize((1 - masked_attention) * context, size) + resize(masked_attention, size) * padded_detail


@check_arguments
class MultiResFusion(nn.Module):
    """Fuse context and detail predictions by a learned or a fixed scale attention.

    Args:
        attention: f^A, features to attention logits; or a number in [0, 1] used everywhere.

    Raises:
        ValueError: if the number lies outside [0, 1].

    HRDA section 3.2 and 3.3.
    """

    def __init__(self, attention: Share | nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def attend(self, features: list[Float[Tensor, "B D h w"]], size: tuple[int, int]) -> Float[Tensor, "B K H W"]:
        """Return a_c = sigmoid(f^A(f^E(x_c))), in [0, 1], of `size` (height, width); 1 trusts the detail."""
        if isinstance(self.attention, nn.Module):
            return torch.sigmoid(resize(self.attention(features), size))
        return features[0].new_full((features[0].shape[0], 1, *size), float(self.attention))

    def forward(
        self,
        context: Float[Tensor, "B C h w"],
        attention: Float[Tensor, "B K h w"],
        detail: Float[Tensor, "B C hd wd"],
        box: DeviceBox,
        s_T: float,
    ) -> Float[Tensor, "B C H W"]:
        """Fuse the logits of a context crop with those of a detail crop inside it.

        The attention is 0 outside the detail crop, a'_c, and zeros surround the detail, y'_d.

        Args:
            context: logits y_c.
            attention: attention a_c.
            detail: logits y_d.
            box: place of the detail in the fused logits, in cells.
            s_T: high resolution / low resolution.

        Returns:
            y_{c,F}, s_T times finer than the context.

        User's document, a'_c, y'_d and y_{c,F}.
        """
        size = (round(context.shape[-2] * s_T), round(context.shape[-1] * s_T))
        masked_attention = mask_outside(attention, box.divided(s_T))
        return fuse(context, masked_attention, padded_detail=paste(detail, box, size))
