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
    # Filled in on the device: a copy from the host would wait for all that is queued there.
    def on_device(values: tuple[float, ...]) -> Tensor:
        return torch.stack([torch.full((1, 1), value, device=like.device) for value in values])

    return on_device(MEAN), on_device(STD)
