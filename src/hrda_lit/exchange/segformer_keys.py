"""Names of MiT with the MLP head in files of `transformers` (SegformerForSemanticSegmentation), and here."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from hrda_lit.networks.mit_keys import Rules, rename, to_official, to_timm

_ENCODER = "backbone.model."
# official name of the encoder -> theirs, applied in order.
_ENCODER_RULES: Rules = (
    (r"^patch_embed(\d)\.norm\.", lambda m: f"segformer.encoder.patch_embeddings.{int(m[1]) - 1}.layer_norm."),
    (r"^patch_embed(\d)\.", lambda m: f"segformer.encoder.patch_embeddings.{int(m[1]) - 1}."),
    (r"^block(\d)\.", lambda m: f"segformer.encoder.block.{int(m[1]) - 1}."),
    (r"^norm(\d)\.", lambda m: f"segformer.encoder.layer_norm.{int(m[1]) - 1}."),
    (r"\.norm([12])\.", lambda m: f".layer_norm_{m[1]}."),
    (r"\.attn\.q\.", lambda _: ".attention.self.query."),
    (r"\.attn\.sr\.", lambda _: ".attention.self.sr."),
    (r"\.attn\.norm\.", lambda _: ".attention.self.layer_norm."),
    (r"\.attn\.proj\.", lambda _: ".attention.output.dense."),
    (r"\.mlp\.fc([12])\.", lambda m: f".mlp.dense{m[1]}."),
)
# Theirs -> ours and back; the levels are fused from coarse to fine there.
_HEAD = (("decode_head.linear_c.", "head.embed."), ("decode_head.batch_norm.", "head.fuse.1."),
         ("decode_head.classifier.", "head.classify."))  # fmt: skip
_FUSE, _OUR_FUSE = "decode_head.linear_fuse.weight", "head.fuse.0.weight"


def from_segformer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of `transformers`.

    Args:
        state: as their files have it.

    Returns:
        Under the names of a `SingleScaleSegmentor` with a MiT encoder and a `SegFormerHead`; what has no name here
        keeps its own.
    """
    encoder = to_timm({key: value for key, value in state.items() if key.startswith("segformer.encoder.")})
    renamed = {_ENCODER + key.replace("stages.", "stages_", 1): value for key, value in encoder.items()}
    for key, value in state.items():
        if key == _FUSE:
            renamed[_OUR_FUSE] = _turned(value)
        elif not key.startswith("segformer.encoder."):
            renamed[_ours(key)] = value
    return renamed


def to_segformer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a segmentor to the names in files of `transformers`; the inverse of `from_segformer`.

    Raises:
        ValueError: if the encoder is no MiT.
    """
    encoder = {key.removeprefix(_ENCODER): value for key, value in state.items() if key.startswith(_ENCODER)}
    renamed: dict[str, Tensor] = {}
    for key, value in to_official(encoder).items():
        key = rename(key, _ENCODER_RULES)
        if ".attn.kv." in key:
            for name, half in zip(("key", "value"), value.chunk(2), strict=True):
                renamed[key.replace(".attn.kv.", f".attention.self.{name}.")] = half.clone()
        else:
            renamed[key] = value
    for key, value in state.items():
        if key == _OUR_FUSE:
            renamed[_FUSE] = _turned(value)
        elif not key.startswith(_ENCODER):
            renamed[_theirs(key)] = value
    return renamed


def _turned(weight: Tensor) -> Tensor:
    return torch.cat(weight.chunk(4, dim=1)[::-1], dim=1)


def _ours(key: str) -> str:
    name = re.sub(r"^(decode_head\.linear_c\.\d)\.proj\.", r"\1.", key)
    return next((ours + name.removeprefix(theirs) for theirs, ours in _HEAD if name.startswith(theirs)), key)


def _theirs(key: str) -> str:
    name = next((theirs + key.removeprefix(ours) for theirs, ours in _HEAD if key.startswith(ours)), key)
    return re.sub(r"^(decode_head\.linear_c\.\d)\.", r"\1.proj.", name)
