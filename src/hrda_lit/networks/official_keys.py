"""Names of a whole segmentor's parameters in the official release, and here."""

import re
from collections.abc import Mapping

from torch import Tensor

from hrda_lit.networks.mit_keys import to_timm

# official name -> ours, applied in order; HRDA wraps DAFormer's head as decode_head.head.
_HEAD_RULES = (
    (r"^decode_head\.scale_attention\.", "fusion.attention."),
    (r"^decode_head\.head\.", "head."),
    (r"^decode_head\.", "head."),
    (r"\.embed_layers\.(\d)\.proj\.", r".embed.\1."),
    (r"\.fuse_layer\.aspp_modules\.(\d)\.", r".fuse.branches.\1."),
    (r"\.depthwise_conv\.", ".0."),
    (r"\.pointwise_conv\.", ".1."),
    (r"\.fuse_layer\.bottleneck\.", ".fuse.bottleneck."),
    (r"\.fuse_layer\.", ".fuse."),
    (r"\.conv_seg\.", ".classify."),
    (r"\.conv\.", ".0."),
    (r"\.bn\.", ".1."),
)


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an official HRDA or DAFormer segmentor (MiT encoder) to the names used here.

    Args:
        state: one network of a released checkpoint, keys starting with "backbone." and "decode_head.".

    Returns:
        The same tensors under the names of `MultiResSegmentor` or `SingleScaleSegmentor`.
    """
    encoder = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    renamed = {
        "backbone.model." + key.replace("stages.", "stages_", 1): value for key, value in to_timm(encoder).items()
    }
    for key, value in state.items():
        if not key.startswith("backbone."):
            renamed[_head_name(key)] = value
    return renamed


def _head_name(key: str) -> str:
    for pattern, replacement in _HEAD_RULES:
        key = re.sub(pattern, replacement, key)
    return key
