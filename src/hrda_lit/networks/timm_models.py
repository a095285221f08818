"""Names, arguments and parameters of timm's models."""

import difflib
import re
import sys
from collections.abc import Container, Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypedDict

import timm
import torch
from timm.models import build_model_with_cfg, group_parameters
from torch import Tensor, nn

from hrda_lit.config.messages import show
from hrda_lit.config.ranges import DropRate
from hrda_lit.networks import mit  # noqa: F401  registers MiT with timm
from hrda_lit.system.text import reason_of

IMAGENET = "imagenet"
_FLAT = re.compile(r"^(\w+)\.(\d+)\.")
_NAME = re.compile(r"\w+(\.[\w.-]+)?", re.ASCII)
# By these timm finds, reads or downloads weights, or wraps the model, instead of describing its architecture.
_NOT_ARCHITECTURE = {
    *signature(timm.create_model).parameters, *signature(build_model_with_cfg).parameters,
    "features_only", "out_indices", "feature_cls", "pruned",
}  # fmt: skip


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
    strange = sorted(_NOT_ARCHITECTURE & set(options))
    if strange:
        raise ValueError(
            f"network.backbone.options has {strange}, which are no numbers of an architecture; set "
            "network.backbone.name, weights and levels instead."
        )
    if not _NAME.fullmatch(name) or not timm.is_model(name.split(".")[0]):
        bare = re.split("[/:]", name)[-1].split(".")[0].lower().replace("-", "_")
        close = difflib.get_close_matches(bare, timm.list_models(), 3) or ["mit_b5", "resnet50"]
        raise ValueError(
            f"timm knows no model named {name}, which network.backbone.name is; {' or '.join(close)} may be meant."
        )
    if weights not in (None, IMAGENET) and not Path(str(weights)).expanduser().exists():
        raise FileNotFoundError(
            f"no weights of {name} at {weights}; download them there, set network.backbone.weights to a file, to "
            f"{IMAGENET} for timm's own download, or to null (with lambda_fd=0) for random weights."
        )


def list_strides(name: str, options: Mapping[str, Any]) -> list[int]:
    """Return the strides of all feature maps of a model, finest first, without its numbers.

    Raises:
        ValueError: if the model does not take the options, or has no feature maps.
    """
    try:
        info = create_whole(name, {"features_only": True, **options}).feature_info
    except TypeError as error:
        raise _unknown_options(name, options, error) from error
    except Exception as error:  # timm's models refuse in many ways
        raise unsupported(name, reason_of(error)) from error
    # All of them, where info.reduction() lists those that are chosen by default.
    return [int(one["reduction"]) for one in info.info]


def create_model(name: str, weights: str | None, any_size: Mapping[str, Any], **shape: Any) -> Any:
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
    try:
        return timm.create_model(name, pretrained=weights == IMAGENET, **{**any_size, **shape})
    except TypeError as error:
        if not any_size:
            raise _unknown_options(name, shape, error) from error
        return create_model(name, weights, {}, **shape)
    except (OSError, RuntimeError) as error:
        if weights != IMAGENET:
            raise
        raise FileNotFoundError(
            f"network.backbone.weights={IMAGENET} lets timm download weights of {name}, which did not work "
            f"({reason_of(error)}); give a file, or null (with lambda_fd=0) for random weights."
        ) from error


def create_whole(name: str, options: Mapping[str, Any]) -> Any:
    """Build a whole model of timm without its numbers, for its names and shapes."""
    with torch.device("meta"):
        return timm.create_model(name, **options)


def unsupported(name: str, reason: str) -> ValueError:
    """Return the error of a model that cannot be used as an encoder."""
    return ValueError(
        f"network.backbone.name={name} is not supported ({reason}); choose an encoder whose strides double, e.g. "
        "mit_b5 or resnet50, or a plain transformer, e.g. vit_base_patch14_dinov2."
    )


def _unknown_options(name: str, options: Mapping[str, Any], error: TypeError) -> ValueError:
    return ValueError(
        f"network.backbone.options={show(dict(options))} does not fit {name} ({reason_of(error)}); remove what it "
        "does not take, or start from none by network.backbone.options=null."
    )


def places(names: Iterable[str], own: Container[str]) -> dict[str, str]:
    """Map the parameter names of a whole model to those of its encoder, `own`."""
    found = {}
    for name in names:
        if name in own:
            found[name] = name
        elif f"model.{name}" in own:  # where features_only puts some models, and a plain pyramid all
            found[name] = f"model.{name}"
        else:  # features_only flattens "stages.0." to "stages_0."
            found[name] = _FLAT.sub(r"\1_\2.", name)
    return found


def to_timm_layout(name: str, state: Mapping[str, Tensor], full: nn.Module) -> dict[str, Tensor]:
    """Convert weights of an encoder's original release as timm itself does, e.g. DINOv2, Swin or ConvNeXt."""
    make = timm.model_entrypoint(name.split(".")[0])
    convert = getattr(sys.modules[make.__module__], "checkpoint_filter_fn", lambda state, _: state)
    try:
        return dict(convert(dict(state), full))
    except Exception:  # of names that it does not know; `check_keys` lists them
        return dict(state)


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
