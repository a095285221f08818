"""Reading weight files, and loading them so that every key is accounted for."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read tensors from a `.safetensors` file or a torch file, without running any code of the file.

    Args:
        path: the file; a dict under `state_dict` or `model` is taken out.

    Returns:
        Name to tensor.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, needs code to load, or holds no tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give an existing file, or null to start from random weights.")
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _torch_load(path)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as weights ({_first_line(error)}); it may be truncated, download it again."
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no tensors; give a state dict of a network.")
    return tensors


def _torch_load(path: Path) -> dict:  # type: ignore[type-arg]
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it holds more than tensors, which loading would have to run as code") from error
    if not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}, not a state dict")
    return content


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def load_checked(module: nn.Module, state: Mapping[str, Tensor], origin: str, unused: Iterable[str] = ()) -> None:
    """Load `state` into `module`, refusing every key that is missing, unexpected or of another shape.

    Args:
        module: where to load.
        state: name to tensor.
        origin: what the error calls the state, e.g. its path.
        unused: names that may be there without being loaded, e.g. a classifier's.

    Raises:
        ValueError: if a key is missing, unexpected or of another shape; the names are listed.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys() - set(unused))
    reshaped = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    # A counter that old files lack and that nothing reads when momentum is set.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    if any(problems.values()):
        raise ValueError(
            f"{origin} does not fit {type(module).__name__}: "
            + "; ".join(f"{len(keys)} keys {kind} ({_shortened(keys)})" for kind, keys in problems.items() if keys)
            + "; use weights of this very architecture."
        )
    module.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def _shortened(keys: list[str], most: int = 20) -> str:
    return ", ".join(keys[:most]) + (f", and {len(keys) - most} more" if len(keys) > most else "")
