"""Names of MiT's parameters in timm, in the official release and on the Hugging Face hub."""

import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from hrda_lit.networks.weights import shortened

Rules = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]  # patterns and what replaces them

_OFFICIAL_TO_TIMM: Rules = (
    (r"^patch_embed1\.", lambda _: "patch_embed."),
    (r"^patch_embed([234])\.", lambda m: f"stages.{int(m[1]) - 1}.downsample."),
    (r"^block(\d)\.", lambda m: f"stages.{int(m[1]) - 1}.blocks."),
    (r"^norm(\d)\.", lambda m: f"stages.{int(m[1]) - 1}.norm."),
    (r"\.dwconv\.dwconv\.", lambda _: ".dwconv."),
)
_HUB_TO_OFFICIAL: Rules = (
    (r"^segformer\.", lambda _: ""),
    (r"^classifier\.", lambda _: "head."),
    (r"^encoder\.patch_embeddings\.(\d)\.proj\.", lambda m: f"patch_embed{int(m[1]) + 1}.proj."),
    (r"^encoder\.patch_embeddings\.(\d)\.layer_norm\.", lambda m: f"patch_embed{int(m[1]) + 1}.norm."),
    (r"^encoder\.block\.(\d)\.", lambda m: f"block{int(m[1]) + 1}."),
    (r"^encoder\.layer_norm\.(\d)\.", lambda m: f"norm{int(m[1]) + 1}."),
    (r"\.layer_norm_([12])\.", lambda m: f".norm{m[1]}."),
    (r"\.attention\.self\.query\.", lambda _: ".attn.q."),
    (r"\.attention\.self\.(key|value)\.", lambda m: f".attn.{m[1]}."),
    (r"\.attention\.self\.sr\.", lambda _: ".attn.sr."),
    (r"\.attention\.self\.layer_norm\.", lambda _: ".attn.norm."),
    (r"\.attention\.output\.dense\.", lambda _: ".attn.proj."),
    (r"\.mlp\.dense([12])\.", lambda m: f".mlp.fc{m[1]}."),
)
_TIMM_TO_OFFICIAL: Rules = (
    (r"^patch_embed\.", lambda _: "patch_embed1."),
    # features_only flattens "stages.0." to "stages_0.".
    (r"^stages[._](\d)\.downsample\.", lambda m: f"patch_embed{int(m[1]) + 1}."),
    (r"^stages[._](\d)\.blocks\.", lambda m: f"block{int(m[1]) + 1}."),
    (r"^stages[._](\d)\.norm\.", lambda m: f"norm{int(m[1]) + 1}."),
    (r"\.mlp\.dwconv\.", lambda _: ".mlp.dwconv.dwconv."),
)
_OFFICIAL = re.compile(r"(patch_embed|block|norm)[1-4]\.|head\.")


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename MiT weights from the official or the Hugging Face layout to timm's; timm's stay as they are.

    Args:
        state: the encoder's state dict, in any of the three layouts.

    Returns:
        The same tensors under timm's names (keys and values of the hub joined to `kv`).

    docs/official.md 20.
    """
    if any("encoder.patch_embeddings." in key for key in state):
        state = _join_key_value(_renamed(state, _HUB_TO_OFFICIAL))
    if any(key.startswith("patch_embed1.") for key in state):
        state = _renamed(state, _OFFICIAL_TO_TIMM)
    return dict(state)


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename MiT weights from any of the three layouts to the official one; the inverse of `to_timm`.

    Args:
        state: the encoder's state dict, with or without its ImageNet classifier.

    Returns:
        The same tensors under the official names, in the same order.

    Raises:
        ValueError: if a name is none of MiT's; all such names are listed.
    """
    renamed = _renamed(to_timm(state), _TIMM_TO_OFFICIAL)
    if strange := [key for key in renamed if not _OFFICIAL.match(key)]:
        raise ValueError(
            f"{len(strange)} of {len(renamed)} parameters are none of MiT's ({shortened(strange)}), and the official "
            "layout has no name for others; give a MiT encoder."
        )
    return renamed


def rename(name: str, rules: Rules) -> str:
    """Apply rules to the name of a parameter, one after the other."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _renamed(state: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    return {rename(key, rules): value for key, value in state.items()}


def _join_key_value(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    joined = {}
    for key, tensor in state.items():
        if ".attn.key." in key:
            values = state.get(key.replace(".attn.key.", ".attn.value."))
            # A missing half stays visible under its own name, for the check of missing keys to report.
            joined[key.replace(".attn.key.", ".attn.kv.")] = tensor if values is None else torch.cat([tensor, values])
        elif ".attn.value." not in key:
            joined[key] = tensor
    return joined
