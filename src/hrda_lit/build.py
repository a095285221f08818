"""Build objects from a config: the only file that knows both the keys of the YAML files and the classes."""

import logging
from functools import partial
from typing import Any

import lightning as L
import torch
from hydra.utils import get_class
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig, OmegaConf

from hrda_lit.config.messages import missing_key
from hrda_lit.config.nodes import (
    ConfigError,
    build_part,
    build_with,
    construct,
    read_choice,
    require_attributes,
    to_plain,
)
from hrda_lit.data.classes import Classes
from hrda_lit.data.datamodule import UDADataModule
from hrda_lit.data.distortion import Distortion
from hrda_lit.data.mixed import Images
from hrda_lit.data.pipeline import Loading, Pipeline
from hrda_lit.data.rare_class import RareClass
from hrda_lit.inference.base import Inference, windowed
from hrda_lit.methods.base import Method
from hrda_lit.methods.supervised import kind_of
from hrda_lit.module import UDAModule
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.resize import low_resolution_size
from hrda_lit.system.progress import announce
from hrda_lit.training.checkpoint_io import WholeFiles
from hrda_lit.training.ema_teacher import EMATeacher
from hrda_lit.training.options import Memory, StepOptions

log = logging.getLogger(__name__)


def build_task(config: DictConfig) -> tuple[Method, UDADataModule]:
    """Build the method, and the data that it learns from; for errors see `build_method` and `build_datamodule`."""
    source = build_dataset(config.source, "source")
    method = build_method(config, source.classes)
    return method, build_datamodule(config, method.needs_target)


def build_datamodule(config: DictConfig, needs_target: bool) -> UDADataModule:
    """Build the datasets and the data module; nothing is read yet.

    Raises:
        ConfigError: if a key does not fit.
        ValueError: if a value is out of range.
    """
    if needs_target and config.get("target") is None:
        raise ConfigError("missing choice target, which this method adapts to; choose one, or method=supervised.")
    pipeline = {**to_plain(config.data), "downscale": config.network.downscale}
    pipeline.pop("skip_broken", None)  # a key of the data check
    for key, make in (("rare_class", RareClass), ("distortion", Distortion)):
        if pipeline.get(key) is not None:
            pipeline[key] = construct(make, f"data.{key}", pipeline[key])
    loading = dict(to_plain(config.get("loading", {})))
    # The config of a checkpoint has no cache.
    loading.update({key: config[key] for key in ("seed", "cache_dir") if key in config})
    return UDADataModule(
        build_dataset(config.source, "source"),
        build_dataset(config.target, "target") if needs_target else None,
        None if config.val is None else build_dataset(config.val, "val"),
        construct(Pipeline, "data", pipeline),
        construct(Loading, "loading", loading),
        to_plain(config.splits),
        build_inference(config).scales,
    )


def build_dataset(config: DictConfig | None, role: str) -> Images:
    """Build one dataset; `role` (source, target or val) names it in errors."""
    if config is None:
        raise ConfigError(f"{role} is null, need a dataset; choose one, dataset@{role}=... .")
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(missing_key(f"{role}.{missing[0].removeprefix(f'{role}.')}"))
    return build_part(config, role, "classes", "files")


def build_validation(config: DictConfig) -> Images:
    """Build the dataset that a run was validated on; ConfigError if it was on none, or a key does not fit."""
    if config.val is None:
        raise ConfigError(f"{config.name} was trained without a validation set; choose a checkpoint that has one.")
    return build_dataset(config.val, "val")


def build_method(config: DictConfig, classes: Classes) -> Method:
    """Build the method for these classes.

    Raises:
        ConfigError: if a key does not fit, or the method lacks a teacher to validate, pretrained features or
            things for the feature distance, or a mask token for masked tokens.
    """
    method: Method = build_with(config.method, "method", {"classes": classes}, "passes")
    if not hasattr(method, "classes"):
        method.classes = classes  # of someone else's method, which need not keep them
    if config.validate == "teacher" and not method.needs_teacher:
        raise ConfigError("validate=teacher, but this method trains without a teacher; set validate=student.")
    if method.needs_imagenet and not classes.things:
        raise ConfigError(
            f"lambda_fd={config.lambda_fd} acts where things are, but classes.things of the source is empty; name "
            "some, or set lambda_fd=0."
        )
    if method.needs_imagenet and config.network.backbone.weights is None:
        raise ConfigError(
            f"lambda_fd={config.lambda_fd} keeps the encoder near its pretrained features, but "
            "network.backbone.weights is null; give weights, or set lambda_fd=0."
        )
    _check_encoder(config, method)
    return method


def _check_encoder(config: DictConfig, method: Method) -> None:
    keys = config.network.backbone
    if OmegaConf.select(config, "method.masked.hide") == "tokens" and not keys.get("mask_token"):
        raise ConfigError(
            "method.masked.hide=tokens replaces patches by a mask token: expected a plain transformer with "
            "network.backbone.mask_token=true; set it, or method.masked.hide=pixels."
        )
    if method.needs_imagenet and keys.get("input_scale") is not None:
        raise ConfigError(
            f"lambda_fd={config.lambda_fd} compares cells that are whole pixels, which they are not with "
            f"network.backbone.input_scale={keys.input_scale}; set lambda_fd=0, or remove it."
        )


def build_network(config: DictConfig, classes: Classes) -> Segmentor:
    """Build the student.

    Raises:
        ConfigError: if a key does not fit.
        ValueError: if a value is out of range or weights do not fit.
        FileNotFoundError: if a weight file is missing.
    """
    keys = config.network
    backbone = build_part(keys.backbone, "network.backbone", "channels", "strides")
    shapes = {"in_channels": backbone.channels, "num_classes": len(classes)}
    head = build_with(keys.head, "network.head", shapes)
    parts: dict[str, Any] = {"backbone": backbone, "head": head, "num_classes": len(classes)}
    if "attention" in keys:
        attention = keys.attention
        if isinstance(attention, DictConfig):
            attention = build_with(attention, "network.attention", shapes)
        parts["fusion"] = MultiResFusion(attention)
        if "detail" not in keys:
            raise ConfigError(missing_key("network.detail"))
        detail = to_plain(keys.detail)
        detail["size"] = detail["size"] or low_resolution_size(training_crop(config), config.s_T)
        parts["detail"] = construct(DetailCrop, "network.detail", detail)
    return build_with(keys.segmentor, "network.segmentor", parts)


def build_bare_network(config: DictConfig, classes: Classes) -> Segmentor:
    """Build the student without weights and numbers, on the meta device; for errors see `build_network`."""
    dry = config.copy()
    dry.network.backbone.weights = None
    with torch.device("meta"):
        return build_network(dry, classes)


@announce("building the networks")
def build_module(config: DictConfig, method: Method) -> UDAModule:
    """Build the LightningModule with its student; for errors see `build_network`."""
    L.seed_everything(config.seed, verbose=False)
    tune = config.network.backbone.get("tune", "full")
    if config.network.backbone.weights is None and tune != "full":
        log.warning(
            "network.backbone.tune=%s keeps random weights as they are, since network.backbone.weights is null; set "
            "weights to imagenet or a file, or tune=full.",
            tune,
        )
    memory = construct(Memory, "memory", to_plain(config.memory))
    return wrap_student(build_network(config, method.classes), config, method, memory)


def wrap_student(student: Segmentor, config: DictConfig, method: Method, memory: Memory | None = None) -> UDAModule:
    """Build the LightningModule of a given student; see `build_module`."""
    return UDAModule(
        student,
        method,
        method.classes,
        build_part(config.optim, "optim", "build", "clip", "max_skipped"),
        build_inference(config),
        EMATeacher(config.alpha, config.validate),
        StepOptions(config.seed, config.loading.accumulate, config.get("speed", "auto"), memory or Memory()),
        stored_values(config, type(method)),
    )


def stored_values(config: DictConfig, method: type[Method] | None = None) -> dict[str, Any]:
    """Return the plain values of a config that a checkpoint stores, and the kind of the run."""
    return {**to_plain(config), "kind": kind_of(method or get_class(config.method._target_), config)}


def build_inference(config: DictConfig) -> Inference:
    """Build the inference on whole images; windows without a size are as large as training crops.

    Without a `base`, test-time augmentation predicts as the papers do: a network at low resolution sees
    images whole, any other in windows.
    """
    keys = config.inference
    if "base" in keys and keys.base is None:
        usual = "whole" if config.network.downscale > 1 else "slide"
        keys = OmegaConf.merge(keys, {"base": read_choice("inference", usual)})
    inference = build_part(keys, "inference", partial=None)
    if isinstance(inference, Inference):
        return inference
    made = construct(partial(windowed, inference), "inference", {"window": crop_size(config)})
    return require_attributes(made, keys, "inference", ["scales"])


def build_trainer(config: DictConfig) -> L.Trainer:
    """Build the Trainer with its callbacks and loggers; ConfigError if a key does not fit."""
    callbacks, loggers = _build_parts(config, "callbacks"), _build_parts(config, "logger")
    given: dict[str, Any] = {"callbacks": callbacks, "logger": loggers or False, "plugins": [WholeFiles()]}
    # Lightning would add a bar of its own where callbacks.progress is null.
    given["enable_progress_bar"] = any(isinstance(callback, ProgressBar) for callback in callbacks)
    if config.trainer.get("deterministic"):
        given["benchmark"] = False  # cuDNN's search for the fastest kernels is not deterministic
    trainer: L.Trainer = build_part(config.trainer, "trainer", "fit", given=given)
    # Lightning's handlers stop and save in the middle of a step; system/signals.py handles the signals instead.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def _build_parts(config: DictConfig, group: str) -> list[Any]:
    nodes = config.get(group) or {}
    return [build_part(node, f"{group}.{name}") for name, node in nodes.items() if node]


def training_crop(config: DictConfig) -> tuple[int, int]:
    """Return (height, width) in high-resolution pixels of the crops that the network is trained on."""
    height, width = config.data.get("sync_crop") or config.data.crop
    return height, width


def crop_size(config: DictConfig) -> tuple[int, int]:
    """Return (height, width) of these crops as the network gets them."""
    return low_resolution_size(training_crop(config), config.network.downscale)
