"""MiT-B0 to B5, registered with timm on its own PyramidVisionTransformerV2.

With MiT's numbers that class is the same function as the encoder of SegFormer (docs/official.md 20).
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


def _filter(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    return mit_to_timm(state)


def _mit(name: str, pretrained: bool, numbers: dict[str, Any], options: dict[str, Any]) -> nn.Module:
    common = {
        "num_heads": (1, 2, 5, 8),
        "mlp_ratios": (4, 4, 4, 4),
        "sr_ratios": (8, 4, 2, 1),
    }
    model: nn.Module = build_model_with_cfg(
        PyramidVisionTransformerV2,
        name,
        pretrained,
        pretrained_filter_fn=_filter,
        feature_cfg={"flatten_sequential": True, "out_indices": options.pop("out_indices", (0, 1, 2, 3))},
        **{**common, **numbers, **options},
    )
    return model


def _numbers(dims: tuple[int, ...], depths: tuple[int, ...]) -> dict[str, Any]:
    return {"embed_dims": dims, "depths": depths}


_SMALL, _LARGE = (32, 64, 160, 256), (64, 128, 320, 512)


@register_model
def mit_b0(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MiT-B0, 3.3 M parameters (SegFormer, table 6)."""
    return _mit("mit_b0", pretrained, _numbers(_SMALL, (2, 2, 2, 2)), kwargs)


@register_model
def mit_b1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MiT-B1, 13.2 M parameters (SegFormer, table 6)."""
    return _mit("mit_b1", pretrained, _numbers(_LARGE, (2, 2, 2, 2)), kwargs)


@register_model
def mit_b2(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MiT-B2 (SegFormer, table 6)."""
    return _mit("mit_b2", pretrained, _numbers(_LARGE, (3, 4, 6, 3)), kwargs)


@register_model
def mit_b3(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MiT-B3, 44.1 M parameters (SegFormer, table 6)."""
    return _mit("mit_b3", pretrained, _numbers(_LARGE, (3, 4, 18, 3)), kwargs)


@register_model
def mit_b4(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MiT-B4, 60.8 M parameters (SegFormer, table 6)."""
    return _mit("mit_b4", pretrained, _numbers(_LARGE, (3, 8, 27, 3)), kwargs)


@register_model
def mit_b5(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MiT-B5, 81.4 M parameters, the encoder of DAFormer and HRDA (SegFormer, table 6)."""
    return _mit("mit_b5", pretrained, _numbers(_LARGE, (3, 6, 40, 3)), kwargs)
