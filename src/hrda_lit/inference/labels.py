"""The class of each pixel, without logits of a whole image where rows can be decided as they are finished."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from hrda_lit.inference.base import ATTENTION, FUSED, Inference, Original
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.decide import best
from hrda_lit.ops.finite import require_finite


def predict_labels(
    inference: Inference,
    network: Segmentor,
    image: Float[Tensor, "1 3 h w"],
    size: tuple[int, int],
    original: Original | None,
    every: bool,
) -> dict[str, UInt8[Tensor, "H W"]]:
    """Predict the train ids of an image.

    Args:
        inference: how whole images are predicted.
        network: predicts.
        image: normalised, as it was fitted into the box of its dataset.
        size: (height, width) of the label.
        original: the same image resized from its file, see `Inference`.
        every: whether context and detail are predicted too.

    Returns:
        Train ids by view.

    Raises:
        ValueError: if a logit is NaN or infinite.
    """
    labels: dict[str, Tensor] = {}
    if original is None and image.shape[-2:] == size:
        for top, name, rows in inference.strips(network, image, every):
            require_finite(rows)
            if name not in labels:
                labels[name] = torch.empty(size, dtype=torch.uint8, device=image.device)
            labels[name][top : top + rows.shape[-2]] = rows.argmax(dim=1)[0]
        return labels
    views = inference.views(network, image, original) if every else {FUSED: inference(network, image, original)}
    for name, logits in views.items():
        if name != ATTENTION:
            require_finite(logits)
            labels[name] = best(logits, size)[0]
    return labels
