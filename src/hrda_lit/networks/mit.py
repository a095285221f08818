"""MiT-B0 to B5, registered with timm on its own PyramidVisionTransformerV2.

With MiT's numbers that class is the same function as the encoder of SegFormer (table 6; docs/official.md 20).
"""

from collections.abc import Mapping
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from torch import Tensor, nn

from hrda_lit.networks.layouts import mit_to_timm

# No url: the ImageNet weights have their owner's terms and come from a file of the user's.
_ENTRY = {"input_size": (3, 512, 512), "num_classes": 1000, "first_conv": "patch_embed.proj", "classifier": "head"}
default_cfgs = generate_default_cfgs({f"mit_b{size}": _ENTRY for size in range(6)})
_SMALL, _LARGE = (32, 64, 160, 256), (64, 128, 320, 512)
_DEPTHS = ((2, 2, 2, 2), (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 18, 3), (3, 8, 27, 3), (3, 6, 40, 3))  # of B0 to B5


def checkpoint_filter_fn(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Convert weights of any layout, under the name by which timm's own models do this."""
    return mit_to_timm(state)


def _register(name: str, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
    common = {"num_heads": (1, 2, 5, 8), "mlp_ratios": (4, 4, 4, 4), "sr_ratios": (8, 4, 2, 1)}

    def build(pretrained: bool = False, **options: Any) -> nn.Module:
        levels = options.pop("out_indices", (0, 1, 2, 3))
        return build_model_with_cfg(
            PyramidVisionTransformerV2,
            name,
            pretrained,
            pretrained_filter_fn=checkpoint_filter_fn,
            feature_cfg={"flatten_sequential": True, "out_indices": levels},
            **{**common, "embed_dims": widths, "depths": depths, **options},
        )

    build.__name__ = name  # by which timm registers it
    register_model(build)


for _size, _depths in enumerate(_DEPTHS):
    _register(f"mit_b{_size}", _LARGE if _size else _SMALL, _depths)
