"""The feature encoder f^E: any timm model as a checked NCHW pyramid."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, TypedDict

import timm
import torch
from jaxtyping import Float
from timm.layers.drop import DropPath as TimmDropPath
from timm.models import build_model_with_cfg
from torch import Tensor, nn

from hrda_lit.exchange.mit_keys import to_timm
from hrda_lit.guards.ranges import DropRate, KeysOf, Length, Level
from hrda_lit.networks import mit  # noqa: F401  registers MiT with timm
from hrda_lit.networks.drop_path import DropPath
from hrda_lit.networks.weights import load_checked, read_state_dict

IMAGENET = "imagenet"
_NAME = re.compile(r"\w+(\.[\w.-]+)?", re.ASCII)
# By these timm finds, reads or downloads weights, or wraps the model, instead of describing its architecture.
_NOT_ARCHITECTURE = {
    name
    for function in (timm.create_model, build_model_with_cfg)
    for name, parameter in signature(function).parameters.items()
    if parameter.kind != parameter.VAR_KEYWORD
} | {"features_only", "out_indices", "feature_cls", "pruned"}


class TimmOptions(TypedDict, total=False):
    """Arguments that many of timm's models know; a model may know others."""

    drop_rate: DropRate
    drop_path_rate: DropRate
    proj_drop_rate: DropRate
    attn_drop_rate: DropRate
    pos_drop_rate: DropRate
    drop_block_rate: DropRate | None


class Backbone(nn.Module):
    """A timm model that returns some of its feature maps, finest first.

    Args:
        name: a timm model name, e.g. "mit_b5" or "resnet50".
        weights: a file of encoder weights, "imagenet" for timm's own download, or None for random ones.
        levels: which of the model's feature maps, finest first; the last four mostly have strides 4 to 32.
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
        self,
        name: str,
        weights: str | None = None,
        levels: Annotated[Sequence[Level], Length(least=1)] = (-4, -3, -2, -1),
        options: Annotated[Mapping[str, Any], KeysOf(TimmOptions, others=True)] | None = None,
    ) -> None:
        super().__init__()
        options = dict(options or {})
        check_backbone(name, weights, options)
        self.name, self.pretrained = name, weights is not None
        shape = {"features_only": True, "out_indices": tuple(levels), **options}
        self.model = _downloaded(name, shape) if weights == IMAGENET else timm.create_model(name, **shape)
        _exchange_drop_paths(self.model)
        # Without BatchNorm, an image's features do not depend on the others of its batch.
        self.independent = not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.model.modules())
        info: Any = self.model.feature_info
        self.channels: list[int] = list(info.channels())
        self.strides: list[int] = list(info.reduction())
        if weights is not None and weights != IMAGENET:
            self._load(weights, options)
        self._check()

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Encode normalised images into feature maps of ceil(H / stride) x ceil(W / stride), finest first."""
        maps: list[Tensor] = self.model(image)
        return [x.permute(0, 3, 1, 2) for x in maps] if self.channels_last else list(maps)

    def together(self, *images: Float[Tensor, "B 3 H W"]) -> list[list[Float[Tensor, "B C h w"]]]:
        """Encode several batches, in one call where that changes nothing: of one size, by an encoder without BatchNorm.

        Returns:
            The feature maps of each batch.
        """
        if not self.independent or len({image.shape[1:] for image in images}) > 1:
            return [self(image) for image in images]
        maps = self(torch.cat(images))
        # Not split() nor len(): a graph of any batch size can hold neither.
        ends = list(accumulate(image.shape[0] for image in images))
        return [[x[start:end] for x in maps] for start, end in zip((0, *ends), ends, strict=False)]

    def _load(self, path: str, options: dict[str, Any]) -> None:
        state = to_timm(read_state_dict(path))
        with torch.device("meta"):
            full = timm.create_model(self.name, **options)
        own = self.model.state_dict()
        # features_only flattens "stages.0." to "stages_0."; a classifier's keys exist in the full model.
        names = {k: k if k in own else k.replace("stages.", "stages_", 1) for k in full.state_dict()}
        unused = {new for new in names.values() if new not in own}
        renamed = {names.get(key, key): value for key, value in state.items() if not _is_head(key)}
        load_checked(self.model, renamed, str(path), unused)

    @torch.no_grad()
    def _check(self) -> None:
        # Two cells of the coarsest level, so that a wrong axis order cannot look right by accident.
        side = 2 * max(self.strides)
        maps = self._try(torch.zeros(1, 3, side, side))
        # Asked once, of the level with the fewest cells: of larger images, rows can equal channels by chance.
        self.channels_last = maps[-1].shape[1] != self.channels[-1]
        order = (3, 1, 2) if self.channels_last else (1, 2, 3)
        shapes = [tuple(x.shape[axis] for axis in order if axis < x.dim()) for x in maps]
        wanted = [(c, side // s, side // s) for c, s in zip(self.channels, self.strides, strict=True)]
        if shapes != wanted or self.strides != sorted(set(self.strides)):
            raise ValueError(
                f"{self.name} gives feature maps {shapes} of strides {self.strides} for an image of {side} "
                f"x {side}, where a pyramid from fine to coarse is needed; choose a backbone whose strides "
                "double, e.g. mit_b5 or resnet50, or other levels."
            )

    def _try(self, image: Tensor) -> list[Tensor]:
        training = self.training
        try:
            maps: list[Tensor] = self.eval().model(image)
        except Exception as error:
            raise ValueError(
                f"{self.name} cannot encode an image of {image.shape[-2]} x {image.shape[-1]} ({error}); "
                "give it the options to take any size, e.g. strict_img_size: false for swin, or choose a "
                "backbone whose strides double, e.g. mit_b5."
            ) from error
        self.train(training)
        return maps


def check_backbone(name: str, weights: str | None, options: Iterable[str] = ()) -> None:
    """Refuse an unknown model, a missing weight file or a way around it, before anything is built.

    Args:
        name: a timm model name.
        weights: a path, "imagenet" or None.
        options: names of further arguments.

    Raises:
        ValueError: if timm does not know the name, or an option does not describe the architecture.
        FileNotFoundError: if there are no weights at the path.
    """
    if strange := sorted(_NOT_ARCHITECTURE & set(options)):
        raise ValueError(
            f"network.backbone.options has {strange}, which are no numbers of an architecture; set "
            "network.backbone.name, weights and levels instead."
        )
    if not _NAME.fullmatch(name) or not timm.is_model(name.split(".")[0]):
        close = difflib.get_close_matches(name, timm.list_models(), 3) or ["mit_b5", "resnet50"]
        raise ValueError(
            f"timm knows no model named {name}, which network.backbone.name is; {' or '.join(close)} may be meant."
        )
    if weights not in (None, IMAGENET) and not Path(str(weights)).expanduser().is_file():
        raise FileNotFoundError(
            f"no weights of {name} at {weights}; download them there, set network.backbone.weights to a "
            f"file, or to null (with lambda_fd=0) to train from random weights."
        )


def _downloaded(name: str, shape: Mapping[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, **shape)
    except (OSError, RuntimeError) as error:
        if not str(type(error).__module__).startswith(("huggingface_hub", "urllib", "http", "socket", "httpx")):
            raise
        raise FileNotFoundError(
            f"network.backbone.weights=imagenet lets timm download weights of {name}, which did not work here "
            f"({type(error).__name__}); give a file instead, or null (with lambda_fd=0) to train from random weights."
        ) from error


def _exchange_drop_paths(model: nn.Module) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, TimmDropPath):
                setattr(module, name, DropPath(child.drop_prob) if child.drop_prob else nn.Identity())


def _is_head(key: str) -> bool:
    return key.startswith(("head.", "classifier.", "decode_head."))
