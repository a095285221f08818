"""A dilated depthwise convolution as shifted multiply-adds, which a compiler makes one kernel of."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def shifted_depthwise(
    x: Float[Tensor, "B C h w"], weight: Float[Tensor, "C 1 kh kw"], dilation: int
) -> Float[Tensor, "B C h w"]:
    """Convolve each channel with a kernel of its own: zeros around, stride 1, the size stays.

    Libraries are slow at this: cuDNN takes milliseconds for 1024 channels. The sum of products is taken in float32 and
    rounded once, to the type that a convolution would return under autocast.

    Args:
        x: maps.
        weight: of a convolution of C groups; odd sides.
        dilation: cells from one tap to the next, >= 1.

    Returns:
        The same as `conv2d(x, weight, padding=dilation * (side // 2), dilation=dilation, groups=C)`.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x, weight = (tensor.to(torch.get_autocast_dtype(device)) for tensor in (x, weight))
    (height, width), (rows, columns) = x.shape[-2:], weight.shape[-2:]
    margin = (columns // 2 * dilation,) * 2 + (rows // 2 * dilation,) * 2
    padded = F.pad(x, margin)
    total = torch.zeros((), device=x.device)
    for row in range(rows):
        for column in range(columns):
            top, left = row * dilation, column * dilation
            shifted = padded[..., top : top + height, left : left + width]
            total = total + weight[:, 0, row, column].float().view(1, -1, 1, 1) * shifted.float()
    return total.to(x.dtype)
