"""The feature encoder f^E: any timm model as a checked NCHW pyramid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from hrda_lit.networks import mit  # noqa: F401  registers MiT with timm
from hrda_lit.networks.mit_keys import to_timm
from hrda_lit.networks.weights import load_checked, read_state_dict

IMAGENET = "imagenet"


class Backbone(nn.Module):
    """A timm model that returns its last `levels` feature maps, finest first.

    Args:
        name: a timm model name, e.g. "mit_b5" or "resnet50".
        weights: a file of encoder weights, "imagenet" for timm's own download, or None for random ones.
        levels: how many feature maps, >= 1.
        options: further arguments of the timm model, e.g. drop_path_rate.

    Attributes:
        channels: channels of each level.
        strides: pixels per cell of each level.
        pretrained: whether weights were loaded.

    Raises:
        ValueError: if timm does not know the model, it is no pyramid, or the weights do not fit.
        FileNotFoundError: if there are no weights at the path.

    User's document, f^E.
    """

    def __init__(
        self, name: str, weights: str | None = None, levels: int = 4, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        options = dict(options or {})
        check_backbone(name, weights)
        self.name, self.pretrained = name, weights is not None
        self.model = timm.create_model(
            name,
            pretrained=weights == IMAGENET,
            features_only=True,
            out_indices=tuple(range(-levels, 0)),
            **options,
        )
        info = self.model.feature_info
        self.channels: list[int] = list(info.channels())
        self.strides: list[int] = list(info.reduction())
        if weights is not None and weights != IMAGENET:
            self._load(weights, options)
        self._check()

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Encode normalised images into feature maps of ceil(H / stride) x ceil(W / stride), finest first."""
        maps = zip(self.model(image), self.channels, strict=True)
        return [x if x.shape[1] == channels else x.permute(0, 3, 1, 2) for x, channels in maps]

    def _load(self, path: str, options: dict[str, Any]) -> None:
        state = to_timm(read_state_dict(path))
        with torch.device("meta"):
            full = timm.create_model(self.name, **options)
        own = self.model.state_dict()
        # features_only flattens "stages.0." to "stages_0."; a classifier's keys exist in the full model alone.
        names = {key: key if key in own else key.replace("stages.", "stages_", 1) for key in full.state_dict()}
        unused = {new for new in names.values() if new not in own}
        renamed = {names.get(key, key): value for key, value in state.items() if not _is_head(key)}
        load_checked(self.model, renamed, str(path), unused)

    @torch.no_grad()
    def _check(self) -> None:
        # Two cells of the coarsest level, so that a wrong axis order cannot look right by accident.
        side = 2 * max(self.strides)
        training = self.training
        shapes = [tuple(x.shape[1:]) for x in self.eval()(torch.zeros(1, 3, side, side))]
        self.train(training)
        wanted = [(c, side // s, side // s) for c, s in zip(self.channels, self.strides, strict=True)]
        if shapes != wanted or self.strides != sorted(set(self.strides)):
            raise ValueError(
                f"{self.name} gives feature maps {shapes} for an image of {side} x {side}, where a pyramid would give "
                f"{wanted}; choose a backbone whose strides double, e.g. mit_b5 or resnet50."
            )


def check_backbone(name: str, weights: str | None) -> None:
    """Refuse an unknown model or a missing weight file, before anything is built.

    Args:
        name: a timm model name.
        weights: a path, "imagenet" or None.

    Raises:
        ValueError: if timm does not know the name.
        FileNotFoundError: if there are no weights at the path.
    """
    if not timm.is_model(name.split(".")[0]):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "mit_b5, resnet50"
        raise ValueError(f"timm knows no model named {name}; choose one of its names, e.g. {close}.")
    if weights not in (None, IMAGENET) and not Path(str(weights)).expanduser().is_file():
        raise FileNotFoundError(
            f"no weights of {name} at {weights}; download them there, set network.backbone.weights to another file, "
            f"or to null (with lambda_fd=0) to train from random weights."
        )


def _is_head(key: str) -> bool:
    return key.startswith(("head.", "classifier.", "decode_head."))
