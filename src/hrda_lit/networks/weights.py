"""Reading weight files, and loading them so that every key is accounted for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from hrda_lit.system.torch_files import name_file_in_errors, read_torch_file, require_finite_weights, require_tensors


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read tensors from a `.safetensors` file or a torch file, without running any code of the file.

    Args:
        path: file; a dict under `state_dict` or `model` is taken out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, needs code to load, or holds no tensors; or if one is NaN or infinite.
    """
    content = read_plain(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no tensors; give a state dict of a network.")
    state = require_tensors(tensors, path)
    require_finite_weights(state, path, "download it again, or give other weights")
    return state


def read_plain(path: str | Path) -> dict[str, Any]:
    """Read all entries of a `.safetensors` or torch file, without running any code of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, needs code to load, or is no dictionary.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give an existing file, or null to start from random weights.")
    if path.suffix != ".safetensors":
        return read_torch_file(path)
    with name_file_in_errors(path):
        content: dict[str, Any] = load_file(path)
    return content


def load_checked(module: nn.Module, state: Mapping[str, Tensor], origin: str, unused: Iterable[str] = ()) -> None:
    """Load `state` into `module` after `check_keys`; `origin` names it in errors."""
    own = module.state_dict()
    check_keys(own, state, f"{origin} does not fit {type(module).__name__}", unused)
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
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys() - set(unused))
    both = own.keys() & state.keys()
    reshaped = sorted(key for key in both if own[key].shape != state[key].shape)
    retyped = sorted(key for key in both if own[key].is_floating_point() != state[key].is_floating_point())
    # A counter that old files lack and that nothing reads when momentum is set.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped, "of another type": retyped}
    if any(problems.values()):
        raise ValueError(
            f"{complaint}: "
            + "; ".join(f"{len(keys)} keys {kind} ({shortened(keys)})" for kind, keys in problems.items() if keys)
            + "; use weights of this very architecture."
        )


def shortened(keys: Sequence[str], most: int = 20) -> str:
    """List names for a sentence, at most `most` of them."""
    return ", ".join(keys[:most]) + (f", and {len(keys) - most} more" if len(keys) > most else "")
