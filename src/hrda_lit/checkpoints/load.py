"""A trained model from one file: weights and the config they were trained with."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from hrda_lit.build import build_bare_network, build_dataset, build_inference, build_method, build_network, wrap_student
from hrda_lit.checkpoints.hub import read_folder
from hrda_lit.checkpoints.locate import locate
from hrda_lit.checkpoints.trusted import plain_tree, require_buildable, require_keys, trusted_part
from hrda_lit.config.nodes import read_choice, to_plain
from hrda_lit.config.ranges import OpenPart
from hrda_lit.config.values import check
from hrda_lit.data.classes import Classes
from hrda_lit.inference.base import Inference
from hrda_lit.module import CONFIG_KEY, UDAModule
from hrda_lit.networks.pretrained_reference import list_pretrained, read_reference, restore_pretrained_
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.networks.weights import check_keys, load_checked
from hrda_lit.system.errors import name_in_errors
from hrda_lit.system.progress import announce
from hrda_lit.system.torch_files import read_torch_file, require_finite_weights, require_tensors

WEIGHTS = "HRDA_LIT_WEIGHTS"  # where an encoder's pretrained weights lie, for checkpoints that do not hold them
MODELS = ("student", "teacher")
EXPORTS = (".onnx", ".pt2", ".safetensors")  # networks without the config that a checkpoint has
# What commands read of a stored config, whatever else is inside.
STORED: dict[str, tuple[type, ...]] = {
    "name": (str, int),
    "validate": (str,),
    "data_root": (str,),
    "seed": (int,),
    "tau": (int, float),
    "s_T": (int, float),
    "splits": (dict,),
    "splits.val": (str,),
    "source": (dict,),
    "val": (dict, NoneType),
    "inference": (dict,),
    "data.crop": (list,),
    "data.sync_crop": (list, NoneType),
    "network.downscale": (int, float),
    "network.backbone": (dict,),
}


class Trained(NamedTuple):
    """A network in evaluation mode, its classes, how it predicts whole images, and which one it is."""

    network: Segmentor
    classes: Classes
    inference: Inference
    config: DictConfig
    model: str

    def other_inference(self, inference: str | Mapping[str, Any]) -> Inference:
        """Build another inference for this network: by name, by config, or by the keys that change.

        A base that is left open is as in training.

        Raises:
            ConfigError: if there is no such choice or key.
            ValueError: if the network cannot be applied this way.
        """
        changed = self.config.copy()
        keys = to_plain(read_choice("inference", inference)) if isinstance(inference, str) else inference
        changed.inference = keys if "_target_" in keys else {**self.config.inference, **keys}
        check(to_plain(changed.inference), OpenPart, "inference")
        if "base" in changed.inference and changed.inference.base is None:
            trained = self.config.inference
            changed.inference.base = trained.base if "base" in trained else trained
        other = build_inference(changed)
        other.check(self.network)
        return other


@announce("loading the network")
def load_trained(
    path: str | Path,
    model: str | None = None,
    device: str | torch.device = "cpu",
    weights: str | None = None,
) -> Trained:
    """Load one network of a checkpoint; only the file is read, and pretrained weights where it needs them.

    Args:
        path: a checkpoint of `hrda_lit.train`, or anything else that `locate` takes, e.g. `latest`.
        model: "student" or "teacher"; None: the one that training validated.
        device: device of the network.
        weights: pretrained weights of an encoder that was not trained whole; None: those that the environment
            variable HRDA_LIT_WEIGHTS names. A file never chooses what else is read.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is not a checkpoint of this library, is broken, or lacks the network.
    """
    if model not in (None, *MODELS):
        raise ValueError(f"model={model!r} is none of {list(MODELS)}; choose one.")
    trained = _load(read_checkpoint(path), str(path), model, weights)
    trained.network.to(device)
    return trained


def _load(content: Mapping[str, Any], path: str, model: str | None, weights: str | None) -> Trained:
    """Build one network of what `read_checkpoint` read; see `load_trained`."""
    config = stored_config(content, path)
    model = model or config.validate
    state = network_state(content["state_dict"], model)
    if not state:
        other = "teacher" if model == "student" else "student"
        raise ValueError(f"{path} holds no {model}; choose model={other}.")
    with name_in_errors(path):
        require_finite_weights(state, path)
        classes = build_dataset(config.source, "source").classes
        if config.val is not None:
            _ = build_dataset(config.val, "val").classes
        reference = read_reference(content, path)
        if weights is not None and reference is None:
            raise ValueError(f"{path} holds all of its weights; remove weights={weights}.")
        _check_size(state, config, classes, path, complete=reference is None)
        if reference is not None:
            config.network.backbone.weights = _pretrained(weights, reference, path)
        network = build_network(config, classes)
        restore_pretrained_(state, content, network.backbone, "backbone.", path)
        load_checked(network, state, path)
        inference = build_inference(config)
    return Trained(network.eval(), classes, inference, config, model)


def _check_size(state: Mapping[str, Tensor], config: DictConfig, classes: Classes, path: str, complete: bool) -> None:
    """Compare weights with the network that their config claims, before memory is taken for it.

    Without the encoder's pretrained weights, they are not `complete`.
    """
    bare = build_bare_network(config, classes)
    referenced = [] if complete else [f"backbone.{name}" for name in list_pretrained(bare.backbone)]
    own = {name: value for name, value in bare.state_dict().items() if name not in referenced}
    check_keys(own, state, f"{path} does not fit its own config")


@announce("loading the networks")
def load_module(path: str | Path, device: str | torch.device = "cpu", weights: str | None = None) -> UDAModule:
    """Load the LightningModule of a training: student, teacher, method, and what else its checkpoint holds.

    It has everything but the frozen encoder of the feature distance, whose weights no checkpoint holds, so its
    method has lambda_fd=0. To resume a training, use `resume=` of `hrda_lit.train`.

    It is in training mode; `module.evaluated` is the network that training validated. See `load_trained` for the
    arguments and errors.
    """
    content = read_checkpoint(path)
    student, classes, _, config, _ = _load(content, str(path), "student", weights)
    with name_in_errors(path):
        if config.method.get("lambda_fd"):
            config.method.lambda_fd = 0
        module = wrap_student(student, config, build_method(config, classes))
        module.config = content[CONFIG_KEY]
        module.on_load_checkpoint(content)
        module.load_state_dict(content["state_dict"])
    return module.to(device).train()


def _pretrained(weights: str | None, reference: Mapping[str, str], path: str) -> str:
    given = weights or os.environ.get(WEIGHTS)
    if not given:
        raise ValueError(
            f"{path} holds what was trained on top of {reference['name']}, and not its weights, which were in "
            f"{reference['weights']}; give them by weights=<file>, or by {WEIGHTS}=<file> in the environment."
        )
    return given


def stored_config(content: Mapping[str, Any], path: str | Path) -> DictConfig:
    """Return the part of a checkpoint's config that a foreign file may decide, the keys of `trusted.DECIDES`.

    It names no file of weights, which come from the checkpoint.

    Raises:
        ValueError: if it would build anything else, or lacks what commands read.
    """
    require_buildable(content[CONFIG_KEY], str(path))
    plain = trusted_part(content[CONFIG_KEY])
    require_keys(plain, STORED, str(path))
    if plain["validate"] not in MODELS:
        raise ValueError(
            f"{path} was validated on {plain['validate']!r}, which is none of {list(MODELS)}; give another."
        )
    # The file they once started from need not exist here.
    plain["network"]["backbone"]["weights"] = None
    return OmegaConf.create(plain)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of `hrda_lit.train` without running its code; tensors stay on disk until used.

    A folder of scripts/save_for_hub.py, and `hf://user/name` on the hub, are read like one with a single network.
    Nothing may be built from its config but from what `stored_config` makes of it.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is damaged, cannot be read, or has no config and weights inside.
    """
    path = locate(path)
    if not path.is_file() and not path.is_dir():
        raise FileNotFoundError(f"no checkpoint at {path}; give a file that `hrda_lit.train` wrote.")
    if path.suffix in EXPORTS:
        raise _foreign(path, f"it is a {path.suffix} file")
    content = read_folder(path) if path.is_dir() else read_torch_file(path)
    for key in (CONFIG_KEY, "state_dict"):
        if key not in content:
            raise _foreign(path, f"it has no {key} inside")
    state = require_tensors(content["state_dict"], path)
    return {**content, "state_dict": state, CONFIG_KEY: plain_tree(content[CONFIG_KEY], str(path))}


def _foreign(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} is not a checkpoint of hrda_lit, {reason}; give one that `hrda_lit.train` wrote, or convert a "
        "released one with scripts/convert_checkpoint.py."
    )


def network_state(state: dict[str, Tensor], network: str) -> dict[str, Tensor]:
    """Return the tensors of one network of a module's state dict, under the network's own names."""
    prefix = network + "."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
