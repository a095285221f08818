"""A mask token for plain transformers: what stands for a patch whose content is hidden."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

COLOURS = 3


class MaskingConv(nn.Conv2d):
    """Embed patches, and replace hidden ones by a learned token.

    Images with a fourth channel are masked: a patch is hidden where that channel is above 0.5 at its centre.

    Args:
        embed: convolution that embeds patches; its weights are taken over under their names.
        token: value of the mask token; None draws it from N(0, 0.02).

    BEiT section 2.3; DINOv2 section 4.
    """

    def __init__(self, embed: nn.Conv2d, token: Float[Tensor, " D"] | None = None) -> None:
        side = embed.kernel_size[0]
        with torch.device("meta"):
            super().__init__(COLOURS, embed.out_channels, side, stride=side, bias=embed.bias is not None)
        self.weight, self.bias = embed.weight, embed.bias
        start = torch.empty(embed.out_channels, dtype=embed.weight.dtype, device=embed.weight.device)
        self.mask_token = nn.Parameter(nn.init.normal_(start, std=0.02) if token is None else start.copy_(token))

    def forward(self, x: Float[Tensor, "B K H W"]) -> Float[Tensor, "B D h w"]:
        """Embed the patches of an image of three channels, or of four with the mask as the last."""
        tokens = super().forward(x[:, :COLOURS])
        if x.shape[1] == COLOURS:
            return tokens
        side = self.kernel_size[0]
        hidden = x[:, COLOURS:, side // 2 :: side, side // 2 :: side] > 0.5
        return torch.where(hidden, self.mask_token.to(tokens.dtype)[:, None, None], tokens)


def add_mask_token_(model: nn.Module, token: Float[Tensor, " D"] | None = None) -> None:
    """Give a plain transformer of timm a mask token, in place.

    Args:
        model: transformer that embeds patches by `patch_embed.proj`.
        token: value of the token; None draws it at random.

    Raises:
        ValueError: if the model does not embed patches by one convolution of three channels.
    """
    place: Any = getattr(model, "patch_embed", None)
    embed = getattr(place, "proj", None)
    if not isinstance(embed, nn.Conv2d) or embed.in_channels != COLOURS or embed.kernel_size != embed.stride:
        raise ValueError("it does not embed patches by one convolution")
    place.proj = MaskingConv(embed, token)
