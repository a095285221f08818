"""A trained model from one file: weights and the config they were trained with."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from hrda_lit.build import build_dataset, build_inference, build_network
from hrda_lit.data.classes import Classes
from hrda_lit.guards.files import write_atomically
from hrda_lit.inference.base import Inference
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.networks.weights import load_checked

MODELS = ("student", "teacher")


class Trained(NamedTuple):
    """A network in evaluation mode, what its outputs mean, how it predicts whole images, and which one it is."""

    network: Segmentor
    classes: Classes
    inference: Inference
    config: DictConfig
    model: str

    def other_inference(self, inference: Mapping[str, Any]) -> Inference:
        """Build another inference for this network, from a config as in conf/inference."""
        changed = self.config.copy()
        changed.inference = inference
        made = build_inference(changed)
        made.check(self.network)
        return made


def load_trained(path: str | Path, model: str | None = None, device: str | torch.device = "cpu") -> Trained:
    """Load one network of a checkpoint; nothing but the file is read.

    Args:
        path: a checkpoint of `hrda_lit.train`.
        model: "student" or "teacher"; None: the one that training validated.
        device: where to.

    Returns:
        The network and what belongs to it.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is no checkpoint of this library, is broken, or holds no such network.
    """
    if model not in (None, *MODELS):
        raise ValueError(f"model={model!r} is none of {list(MODELS)}; choose one.")
    content = read_checkpoint(path)
    config = OmegaConf.create(content[CONFIG_KEY])
    model = model or str(config.evaluate)
    state = network_state(content["state_dict"], model)
    if not state:
        raise ValueError(f"{path} holds no {model}, its method trains without one; choose model=student.")
    # The weights come from the checkpoint; the file they once started from need not exist here.
    config.network.backbone.weights = None
    classes = build_dataset(config.source, "source").classes
    built = build_network(config, classes)
    load_checked(built, state, str(path))
    return Trained(built.to(device).eval(), classes, build_inference(config), config, model)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of `hrda_lit.train` without running any code of the file.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it cannot be read, or has no config inside.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; give a file that `hrda_lit.train` wrote.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint; it is broken or holds more than tensors.") from error
    if not isinstance(content, dict) or CONFIG_KEY not in content or "state_dict" not in content:
        raise ValueError(
            f"{path} is no checkpoint of hrda_lit, it has no {CONFIG_KEY} inside; give one that `hrda_lit.train` "
            "wrote, or convert a released one with scripts/convert_checkpoint.py."
        )
    return content


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values as a torch file; a reader sees the old file or the new one."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def network_state(state: dict[str, Tensor], network: str) -> dict[str, Tensor]:
    """Return the tensors of one network of a module's state dict, under the network's own names."""
    prefix = network + "."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:<n>" into a device; "auto" is the GPU where there is one.

    Raises:
        ValueError: if there is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = {"auto": "cuda" if count else "cpu", "cpu": "cpu"}
    there |= {"cuda": "cuda"} if count else {}
    there |= {f"cuda:{index}": f"cuda:{index}" for index in range(count)}
    if name not in there:
        raise ValueError(f"device={name} is not there, this machine has {list(there)}; choose one.")
    return torch.device(there[name])
