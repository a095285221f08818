"""Reading weight files, and loading them so that every key is accounted for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from hrda_lit.system.torch_files import name_file_in_errors, read_torch_file, require_finite_weights, require_tensors

# Entries of a file that hold a network; the last is DINO's.
_NETWORKS = ("state_dict", "model", "state_dict_ema", "model_ema", "teacher")
# Where trainers have the encoder in a network: mmsegmentation and DINO, released HRDA, this library.
_ENCODERS = (
    "backbone.", "ema_model.backbone.", "model.backbone.", "teacher.backbone.model.", "student.backbone.model."
)  # fmt: skip
# Folders of `transformers` and timm on the Hugging Face hub.
_IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")


def read_encoder(path: str | Path) -> dict[str, Tensor]:
    """Read the encoder's tensors of a network, see `read_state_dict`; without a prefix, all are the encoder's."""
    state = read_state_dict(path)
    for prefix in _ENCODERS:
        below = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if below:
            return below
    return state


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read tensors from a `.safetensors` file or a torch file, without running any code of the file.

    Args:
        path: file, or a folder with `model.safetensors`; a dict under `state_dict`, `model` and the like is
            taken out, and what DDP and compilers write before names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, needs code to load, or holds no tensors; or if one is NaN or infinite.
    """
    path = find_weights(path)
    content = read_plain(path)
    for name in _NETWORKS:
        if isinstance(content.get(name), Mapping):
            content = content[name]
    tensors = {
        str(key).removeprefix("module.").replace("_orig_mod.", ""): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise ValueError(f"{path} holds no tensors; give a state dict of a network.")
    state = require_tensors(tensors, path)
    require_finite_weights(state, path, "download it again, or give other weights")
    return state


def find_weights(path: str | Path) -> Path:
    """Return the file of a folder that holds its weights, or the path itself if it is not a folder.

    Raises:
        FileNotFoundError: if the folder has none.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return folder
    for name in _IN_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has no {_IN_FOLDERS[0]}; give a folder that save_pretrained wrote, or a file.")


def read_plain(path: str | Path) -> dict[str, Any]:
    """Read all entries of a `.safetensors` or torch file, without running any code of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, needs code to load, or is not a dictionary.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give an existing file, or null to start from random weights.")
    with path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"  # a number of 8 bytes, then JSON
    if not is_safetensors:
        return read_torch_file(path)
    with name_file_in_errors(path):
        content: dict[str, Any] = load_file(path)
    return content


def load_checked(
    module: nn.Module, state: Mapping[str, Tensor], origin: str, name: str = "", unused: Iterable[str] = ()
) -> None:
    """Load `state` into `module` after `check_keys`; `origin` and `name` stand for them in errors."""
    own = module.state_dict()
    check_keys(own, state, f"{origin} does not fit {name or type(module).__name__}", unused)
    module.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def check_keys(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], complaint: str, unused: Iterable[str] = ()
) -> None:
    """Refuse a state whose keys, shapes or types are not those of `own`.

    Args:
        own: expected state; shapes count and whether values are integers, values do not.
        state: given state.
        complaint: beginning of the error, e.g. "x.pth does not fit Backbone".
        unused: names that may come without being needed.

    Raises:
        ValueError: if a key is missing, unexpected, of another shape or type; the names are listed.
    """
    both = own.keys() & state.keys()
    problems = {
        # Old files lack the counter, which nothing reads when momentum is set.
        "missing": [key for key in own.keys() - state.keys() if not key.endswith("num_batches_tracked")],
        "unexpected": state.keys() - own.keys() - set(unused),
        "of another shape": [key for key in both if own[key].shape != state[key].shape],
        "of another type": [key for key in both if own[key].is_floating_point() != state[key].is_floating_point()],
    }
    faults = [f"{len(keys)} keys {kind} ({shortened(sorted(keys))})" for kind, keys in problems.items() if keys]
    if faults:
        raise ValueError(f"{complaint}: {'; '.join(faults)}; use weights of this very architecture.")


def shortened(keys: Sequence[str], most: int = 3) -> str:
    """List names for a sentence, at most `most` of them."""
    return ", ".join(keys[:most]) + (f", and {len(keys) - most} more" if len(keys) > most else "")
