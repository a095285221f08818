"""Names, arguments and parameters of timm's models."""

import difflib
import re
import textwrap
from collections.abc import Container, Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypedDict

import timm
import torch
from timm.models import build_model_with_cfg, group_parameters
from torch import nn

from hrda_lit.config.ranges import DropRate
from hrda_lit.networks import mit  # noqa: F401  registers MiT with timm

IMAGENET = "imagenet"
_FLAT = re.compile(r"^(\w+)\.(\d+)\.")
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
    output_stride: Literal[8, 16, 32]


def check_backbone(name: str, weights: str | None, options: Iterable[str] = ()) -> None:
    """Reject an unknown model, a missing weight file, and options by which timm loads other weights.

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


def feature_maps(name: str, options: Mapping[str, Any], levels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return channels and strides of all feature maps of a model, finest first, without building it.

    Raises:
        ValueError: if the model does not take the options, has no feature maps, or fewer than `levels` ask
            for.
    """
    try:
        with torch.device("meta"):
            info: Any = timm.create_model(name, features_only=True, **options).feature_info
    except TypeError as error:
        raise _unknown_options(name, options, error) from error
    except Exception as error:  # timm's models refuse in many ways
        raise unsupported(name, reason_of(error)) from error
    # All of them, where info.channels() tells of those that are chosen by default.
    channels, strides = ([int(one[key]) for one in info.info] for key in ("num_chs", "reduction"))
    plain = len(set(strides)) == 1 and len(strides) > 1  # its blocks are chosen from by `PlainPyramid`
    if not plain and not all(-len(strides) <= level < len(strides) for level in levels):
        raise ValueError(
            f"network.backbone.levels={list(levels)}: expected indices of the {len(strides)} feature maps of {name}, "
            f"whose strides are {strides}; set network.backbone.levels={list(range(-min(4, len(strides)), 0))}."
        )
    return channels, strides


def created(name: str, weights: str | None, any_size: Mapping[str, Any], **shape: Any) -> Any:
    """Build a model of timm, with the weights that timm downloads if `weights` is "imagenet".

    Args:
        name: timm model name.
        weights: "imagenet" or None; files are loaded elsewhere.
        any_size: arguments by which models of some families take images of any size; skipped where unknown.
        shape: further arguments.

    Raises:
        FileNotFoundError: if the download does not work.
        ValueError: if the model does not take the arguments.
    """
    make = _downloaded if weights == IMAGENET else _random
    try:
        return make(name, {**any_size, **shape})
    except TypeError:
        try:
            return make(name, shape)
        except TypeError as error:
            raise _unknown_options(name, shape, error) from error


def unsupported(name: str, reason: str) -> ValueError:
    """Return the error of a model that cannot be used as an encoder."""
    return ValueError(
        f"network.backbone.name={name} is not supported ({reason}); choose an encoder whose strides double, e.g. "
        "mit_b5, resnet50 or convnext_large, or a plain transformer, e.g. vit_base_patch14_dinov2."
    )


def _unknown_options(name: str, options: Mapping[str, Any], error: TypeError) -> ValueError:
    return ValueError(
        f"network.backbone.options={dict(options)} does not fit {name} ({reason_of(error)}); remove what it does not "
        "take, or start from none by network.backbone.options=null."
    )


def reason_of(error: Exception) -> str:
    """Return what an error says, shortened to a part of a sentence."""
    return textwrap.shorten(str(error), 100, placeholder=" ...").rstrip(".") or type(error).__name__


def _random(name: str, shape: Mapping[str, Any]) -> nn.Module:
    return timm.create_model(name, **shape)


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


def places(names: Iterable[str], own: Container[str]) -> dict[str, str]:
    """Map the parameter names of a whole model to those of its encoder, `own`."""

    def place(name: str) -> str:
        # features_only flattens "stages.0." to "stages_0.", or puts all below "model.", as a plain pyramid
        # does.
        candidates = (name, f"model.{name}")
        return next((one for one in candidates if one in own), _FLAT.sub(r"\1_\2.", name))

    return {name: place(name) for name in names}


def layer_numbers(model: nn.Module, full: Any) -> dict[str, int]:
    """Number the layers of an encoder as timm does in the `full` model: 0 is the stem, then blocks or stages.

    Returns:
        The layer of each parameter; what LoRA adds to a weight has the weight's.

    Raises:
        ValueError: if timm numbers no layers of this model.
    """
    if not hasattr(full, "group_matcher"):
        raise ValueError(f"timm numbers no layers of {type(full).__name__}; set optim.layer_decay=1.")
    numbers: dict[str, int] = group_parameters(full, full.group_matcher(coarse=False), reverse=True)
    own = [name for name, _ in model.named_parameters()]
    bare = {name: re.sub(r"\.parametrizations\.(\w+)\.(original|\d+\.\w+)$", r".\1", name) for name in own}
    layers = {place: numbers[name] for name, place in places(numbers, set(bare.values())).items()}
    return {name: layers[bare[name]] for name in own if bare[name] in layers}
