"""ImageNet normalisation and its inverse."""

import torch
from jaxtyping import Float, Num
from torch import Tensor

MEAN = (123.675, 116.28, 103.53)  # RGB, on 0..255
STD = (58.395, 57.12, 57.375)


def normalise(image: Num[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
    """Turn an RGB image on 0..255 into the network's input of zero mean and unit variance."""
    mean, std = _statistics(image)
    return (image.float() - mean) / std


def denormalise(image: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
    """Turn a network's input back into an RGB image on 0..1."""
    mean, std = _statistics(image)
    return (image * std + mean) / 255


def renormalise(image: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
    """Turn an RGB image on 0..1 into a network's input; the inverse of `denormalise`."""
    return normalise(image * 255)


def _statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=like.device).view(3, 1, 1) for values in (MEAN, STD))
    return mean, std
