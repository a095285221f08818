"""Names of parameters in timm, the official releases and `transformers`, as tables."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from hrda_lit.networks.weights import shortened

State = dict[str, Tensor]
# timm's names are ours; HRDA wraps DAFormer's head.
Layout = Literal["ours", "official", "hrda", "daformer", "transformers"]

_ENCODER = "backbone.model."
_FUSE, _HUB_FUSE = "head.fuse.0.weight", "decode_head.linear_fuse.weight"


class Names:
    """Beginnings of names in several layouts; the first row that fits counts.

    Args:
        layouts: names of the columns.
        rows: beginnings, one for each layout; {n} stands for a number.
    """

    def __init__(self, layouts: Sequence[Layout], rows: Sequence[tuple[str, ...]]) -> None:
        self._columns = dict(zip(layouts, zip(*rows, strict=True), strict=True))

    def rename(self, state: Mapping[str, Tensor], source: Layout, target: Layout) -> State:
        """Translate the names of a state dict; one that fits no row stays as it is."""
        escaped = [re.escape(beginning).replace(r"\{n\}", r"(\d+)") for beginning in self._columns[source]]
        rows = list(zip(map(re.compile, escaped), self._columns[target], strict=True))
        return {_rename(name, rows): value for name, value in state.items()}


def _rename(name: str, rows: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, beginning in rows:
        found = pattern.match(name)
        if found:
            return beginning.replace("{n}", "".join(found.groups())) + name[found.end() :]
    return name


def _list_mit_names() -> list[tuple[str, str, str]]:
    """List the rows of MiT, stage by stage; docs/official.md 20."""
    parts = [
        ("norm1.", "norm1.", "layer_norm_1."),
        ("norm2.", "norm2.", "layer_norm_2."),
        ("attn.q.", "attn.q.", "attention.self.query."),
        ("attn.key.", "attn.key.", "attention.self.key."),  # joined to attn.kv elsewhere
        ("attn.value.", "attn.value.", "attention.self.value."),
        ("attn.sr.", "attn.sr.", "attention.self.sr."),
        ("attn.norm.", "attn.norm.", "attention.self.layer_norm."),
        ("attn.proj.", "attn.proj.", "attention.output.dense."),
        ("mlp.fc1.", "mlp.fc1.", "mlp.dense1."),
        ("mlp.fc2.", "mlp.fc2.", "mlp.dense2."),
        ("mlp.dwconv.", "mlp.dwconv.dwconv.", "mlp.dwconv.dwconv."),
        ("", "", ""),
    ]
    rows = [("head.", "head.", "classifier.")]
    for stage in range(4):
        embed = "patch_embed." if stage == 0 else f"stages.{stage}.downsample."
        official, hub = f"patch_embed{stage + 1}.", f"encoder.patch_embeddings.{stage}."
        rows += [(f"{embed}norm.", f"{official}norm.", f"{hub}layer_norm."), (embed, official, hub)]
        rows += [(f"stages.{stage}.norm.", f"norm{stage + 1}.", f"encoder.layer_norm.{stage}.")]
        block = (f"stages.{stage}.blocks.{{n}}.", f"block{stage + 1}.{{n}}.", f"encoder.block.{stage}.{{n}}.")
        rows += [(block[0] + ours, block[1] + theirs, block[2] + hub) for ours, theirs, hub in parts]
    return rows


def _list_head_names() -> list[tuple[str, str, str]]:
    """List the rows of DAFormer's head, which those of SegFormer and of the scale attention are parts of."""
    parts = [("embed.{n}.", "embed_layers.{n}.proj."), ("classify.", "conv_seg.")]
    layers = (("0.", "conv."), ("1.", "bn."))
    for layer, name in layers:
        parts += [
            (f"fuse.branches.{{n}}.0.{layer}", f"fuse_layer.aspp_modules.{{n}}.depthwise_conv.{name}"),
            (f"fuse.branches.{{n}}.1.{layer}", f"fuse_layer.aspp_modules.{{n}}.pointwise_conv.{name}"),
        ]
    for layer, name in layers:
        parts += [
            (f"fuse.branches.{{n}}.{layer}", f"fuse_layer.aspp_modules.{{n}}.{name}"),
            (f"fuse.bottleneck.{layer}", f"fuse_layer.bottleneck.{name}"),
            (f"fuse.{layer}", f"fuse_layer.{name}"),
        ]
    parts.append(("", ""))
    attention = "decode_head.scale_attention."
    rows = [(f"fusion.attention.{ours}", attention + official, attention + official) for ours, official in parts]
    return rows + [(f"head.{ours}", f"decode_head.head.{name}", f"decode_head.{name}") for ours, name in parts]


MIT = Names(("ours", "official", "transformers"), _list_mit_names())
HEADS = Names(("ours", "hrda", "daformer"), _list_head_names())
_MLP_HEAD = Names(
    ("ours", "transformers"),
    [
        ("head.embed.{n}.", "decode_head.linear_c.{n}.proj."),
        ("head.fuse.1.", "decode_head.batch_norm."),
        ("head.classify.", "decode_head.classifier."),
    ],
)
_OFFICIAL = re.compile(r"(patch_embed|block|norm)[1-4]\.|head\.")


def mit_to_timm(state: Mapping[str, Tensor]) -> State:
    """Rename MiT weights from any layout to timm's, where keys and values are joined to `kv`."""
    if any("encoder.patch_embeddings." in key for key in state):
        bare = {key.removeprefix("segformer."): value for key, value in state.items()}
        return _join_key_value(MIT.rename(bare, "transformers", "ours"))
    if any(key.startswith("patch_embed1.") for key in state):
        return MIT.rename(state, "official", "ours")
    return dict(state)


def mit_to_official(state: Mapping[str, Tensor]) -> State:
    """Rename MiT weights from any of the three layouts to the official one, in the same order.

    Raises:
        ValueError: if a name is none of MiT's; all such names are listed.
    """
    # features_only flattens "stages.0." to "stages_0.".
    whole = {re.sub(r"^stages_", "stages.", key): value for key, value in mit_to_timm(state).items()}
    renamed = MIT.rename(whole, "ours", "official")
    strange = [key for key in renamed if not _OFFICIAL.match(key)]
    if strange:
        raise ValueError(
            f"{len(strange)} of {len(renamed)} parameters are none of MiT's ({shortened(strange)}), and the official "
            "layout has no name for others; give a MiT encoder."
        )
    return renamed


def from_official(state: Mapping[str, Tensor]) -> State:
    """Rename an official HRDA or DAFormer segmentor with a MiT encoder to the names used here."""
    encoder, heads = _split(state, "backbone.")
    layout: Layout = "hrda" if any(key.startswith("decode_head.head.") for key in heads) else "daformer"
    return _flatten(mit_to_timm(encoder)) | HEADS.rename(heads, layout, "ours")


def to_official(state: Mapping[str, Tensor], multires: bool) -> State:
    """Rename a `MultiResSegmentor` (`multires`) or `SingleScaleSegmentor` to the official names.

    Raises:
        ValueError: if the encoder is not a MiT.
    """
    encoder, heads = _split(state, _ENCODER)
    renamed = {"backbone." + key: value for key, value in mit_to_official(encoder).items()}
    return renamed | HEADS.rename(heads, "ours", "hrda" if multires else "daformer")


def from_transformers(state: Mapping[str, Tensor]) -> State:
    """Rename a SegformerForSemanticSegmentation to the names used here; unknown names stay as they are."""
    encoder, others = _split(state, "segformer.")
    if _HUB_FUSE in others:
        others[_FUSE] = _reverse_levels(others.pop(_HUB_FUSE))
    return _flatten(mit_to_timm(encoder)) | _MLP_HEAD.rename(others, "transformers", "ours")


def to_transformers(state: Mapping[str, Tensor]) -> State:
    """Rename a segmentor to the names of `transformers`; the inverse of `from_transformers`.

    Raises:
        ValueError: if the encoder is not a MiT.
    """
    encoder, others = _split(state, _ENCODER)
    apart: State = {}
    for key, value in mit_to_official(encoder).items():
        if ".attn.kv." in key:
            keys, values = value.chunk(2)
            apart[key.replace(".attn.kv.", ".attn.key.")] = keys.clone()
            apart[key.replace(".attn.kv.", ".attn.value.")] = values.clone()
        else:
            apart[key] = value
    renamed = MIT.rename(apart, "official", "transformers")
    if _FUSE in others:
        others[_HUB_FUSE] = _reverse_levels(others.pop(_FUSE))
    heads = _MLP_HEAD.rename(others, "ours", "transformers")
    return {f"segformer.{key}": value for key, value in renamed.items()} | heads


def _split(state: Mapping[str, Tensor], prefix: str) -> tuple[State, State]:
    """Divide a state into what lies below a prefix, without it, and all else."""
    below = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return below, {key: value for key, value in state.items() if not key.startswith(prefix)}


def _flatten(encoder: Mapping[str, Tensor]) -> State:
    return {_ENCODER + re.sub(r"^stages\.", "stages_", key): value for key, value in encoder.items()}


def _reverse_levels(weight: Tensor) -> Tensor:
    # transformers fuses the levels from coarse to fine.
    return torch.cat(weight.chunk(4, dim=1)[::-1], dim=1)


def _join_key_value(state: Mapping[str, Tensor]) -> State:
    joined = {}
    for key, tensor in state.items():
        if ".attn.key." in key:
            values = state.get(key.replace(".attn.key.", ".attn.value."))
            # A missing half stays visible under its own name, for the check of missing keys to report.
            joined[key.replace(".attn.key.", ".attn.kv.")] = tensor if values is None else torch.cat([tensor, values])
        elif ".attn.value." not in key:
            joined[key] = tensor
    return joined
