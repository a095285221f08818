"""Names of a whole segmentor's parameters in the official release, and here."""

from collections.abc import Mapping

from torch import Tensor

from hrda_lit.networks.mit_keys import rename, to_timm
from hrda_lit.networks.mit_keys import to_official as mit_to_official

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
# ours -> official, applied in order.
_OFFICIAL_HEAD_RULES = (
    (r"^fusion\.attention\.", "decode_head.scale_attention."),
    (r"\.embed\.(\d)\.", r".embed_layers.\1.proj."),
    (r"\.fuse\.branches\.(\d)\.0\.(?=\d\.)", r".fuse_layer.aspp_modules.\1.depthwise_conv."),
    (r"\.fuse\.branches\.(\d)\.1\.(?=\d\.)", r".fuse_layer.aspp_modules.\1.pointwise_conv."),
    (r"\.fuse\.branches\.", ".fuse_layer.aspp_modules."),
    (r"\.fuse\.", ".fuse_layer."),
    (r"\.classify\.", ".conv_seg."),
    (r"\.0\.(?=\w+$)", ".conv."),
    (r"\.1\.(?=\w+$)", ".bn."),
)
_ENCODER = "backbone.model."


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an official HRDA or DAFormer segmentor (MiT encoder) to the names used here.

    Args:
        state: one network of a released checkpoint, keys starting with "backbone." and "decode_head.".

    Returns:
        The same tensors under the names of `MultiResSegmentor` or `SingleScaleSegmentor`.
    """
    encoder = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    renamed = {_ENCODER + key.replace("stages.", "stages_", 1): value for key, value in to_timm(encoder).items()}
    for key, value in state.items():
        if not key.startswith("backbone."):
            renamed[rename(key, _HEAD_RULES)] = value
    return renamed


def to_official(state: Mapping[str, Tensor], multires: bool) -> dict[str, Tensor]:
    """Rename a segmentor with a MiT encoder to the official names; the inverse of `from_official`.

    Args:
        state: of a `MultiResSegmentor` or `SingleScaleSegmentor`.
        multires: which of the two: HRDA wraps the head of DAFormer.

    Returns:
        The same tensors, keys starting with "backbone." and "decode_head.".

    Raises:
        ValueError: if the encoder is no MiT, whose names alone the release has.
    """
    encoder = {key.removeprefix(_ENCODER): value for key, value in state.items() if key.startswith(_ENCODER)}
    renamed = {"backbone." + key: value for key, value in mit_to_official(encoder).items()}
    rules = (*_OFFICIAL_HEAD_RULES, (r"^head\.", "decode_head.head." if multires else "decode_head."))
    for key, value in state.items():
        if not key.startswith(_ENCODER):
            renamed[rename(key, rules)] = value
    return renamed
