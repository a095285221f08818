"""Files of tensors, read without running code of theirs; records of torch.save are compared with their checksums."""

import contextlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Types of weights; others (float8, complex, quantised) have no arithmetic here.
DTYPES = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.bool,
}  # fmt: skip
_ZIP = b"PK\x03\x04"


@contextlib.contextmanager
def name_file_in_errors(path: str | Path) -> Iterator[None]:
    """Turn whatever the bytes of a file lead to into one sentence that names the file.

    Args:
        path: path of the file that is read inside.

    Raises:
        ValueError: if anything is raised inside.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that are none, and that torch guesses about
            yield
    # Odd bytes lead readers into errors of any kind.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read ({_reason(error)}); download or copy it again, or save its tensors alone."
        ) from error


def read_torch_file(path: Path) -> dict[str, Any]:
    """Read the entries of a file that torch.save wrote; tensors stay on disk until they are used.

    Args:
        path: path of the file.

    Returns:
        Its entries: tensors, text, numbers and containers of these.

    Raises:
        ValueError: if the file is empty, cut, damaged (the record is named), needs code to load, or has no names.
    """
    with name_file_in_errors(path):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=_check_records(path))
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise TypeError(f"it holds a {type(content).__name__}, not a state dict or another mapping of names")
    return content


def require_tensors(content: object, origin: str | Path) -> dict[str, Tensor]:
    """Return a state dict, after a look at its types.

    Args:
        content: content of a file.
        origin: name of the file in errors.

    Raises:
        ValueError: if it is not a mapping of names to dense tensors.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{origin} has a {type(content).__name__} for weights, need names and tensors; give another.")  # noqa: TRY004
    for key, value in content.items():
        if not isinstance(key, str) or not _is_dense(value):
            raise ValueError(
                f"{origin} has {_kind(value)} as {key!r}, need a dense tensor of floats of 16 bits or more, integers "
                "or booleans; give other weights."
            )
    return dict(content)


def require_finite_weights(
    state: Mapping[str, Tensor],
    origin: str | Path,
    remedy: str = "its training diverged, use an earlier checkpoint",
) -> None:
    """Reject weights that are NaN or infinite.

    Args:
        state: name to tensor.
        origin: name of the file in the error.
        remedy: part of the sentence that says what to do.

    Raises:
        ValueError: if one is NaN or infinite; its name is given.
    """
    for key, value in state.items():
        if not bool(value.isfinite().all()):
            raise ValueError(f"{origin} holds NaN or infinity in {key}; {remedy}.")


def _check_records(path: Path) -> bool:
    """Compare every record with its checksum; False for a file without any, as torch wrote before version 1.6."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if not start:
        raise ValueError("it is empty")
    if not zipfile.is_zipfile(path):
        if start == _ZIP:
            raise ValueError("it is cut short, the list of its records is missing")
        return False
    with zipfile.ZipFile(path) as archive:
        # Unpacking could fill the memory, and torch packs nothing.
        if packed := [item.filename for item in archive.infolist() if item.compress_type != zipfile.ZIP_STORED]:
            raise ValueError(f"its record {packed[0]} is compressed")
        if wrong := archive.testzip():
            raise ValueError(f"its record {wrong} differs from its checksum")
    return True


def _is_dense(value: object) -> bool:
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return value.dtype in DTYPES and not (value.is_quantized or value.is_meta or value.is_nested)


def _kind(value: object) -> str:
    return f"a {value.type()}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError) and (what := re.search(r"GLOBAL (\S+)", str(error))):
        return f"it holds more than tensors ({what[1]}), which loading would have to run as code"
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
