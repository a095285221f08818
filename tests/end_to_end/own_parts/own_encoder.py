"""Someone else's encoder, registered with timm."""

from collections.abc import Sequence
from typing import Any

from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

from hrda_lit.networks.backbone import Backbone

CHANNELS = (8, 12, 16, 16)


class Steps(nn.Sequential):
    """Convolutions of strides 4, 2, 2 and 2."""

    def __init__(self, in_chans: int = 3, num_classes: int = 0, **_: Any) -> None:
        super().__init__()
        self.num_classes, inputs = num_classes, in_chans
        self.feature_info = []
        for index, channels in enumerate(CHANNELS):
            side = 4 if index == 0 else 2
            self.add_module(f"step{index}", nn.Sequential(nn.Conv2d(inputs, channels, side, side), nn.GELU()))
            reduction = 4 * 2**index
            self.feature_info.append({"num_chs": channels, "reduction": reduction, "module": f"step{index}"})
            inputs = channels

    def forward_features(self, image: Tensor) -> Tensor:
        """Return the coarsest level."""
        return super().forward(image)


@register_model
def own_steps(pretrained: bool = False, **keys: Any) -> nn.Module:
    """Build the encoder as timm does."""
    return build_model_with_cfg(Steps, "own_steps", pretrained, feature_cfg={"out_indices": (0, 1, 2, 3)}, **keys)


class OwnEncoder(Backbone):
    """The library's wrapper around it, under a name that Python can import."""

    def __init__(self, name: str = "own_steps", levels: Sequence[int] = (0, 1, 2, 3), **keys: Any) -> None:
        super().__init__(name, levels=levels, **keys)
