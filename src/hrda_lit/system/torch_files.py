"""Write files of tensors whole or not at all; read them without running code, compared with their checksums."""

import contextlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from hrda_lit.system.files import replacing
from hrda_lit.system.text import reason_of, shorten

# Types of weights; others (float8, complex, quantised) have no arithmetic here.
DTYPES = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.bool,
}  # fmt: skip
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"  # of torch before 1.6


@contextlib.contextmanager
def name_file_in_errors(path: str | Path) -> Iterator[None]:
    """Turn any error of reading a file into a ValueError, one sentence that names the file."""
    try:
        with warnings.catch_warnings(action="ignore"):  # torch guesses about files that are not pickles
            yield
    # Odd bytes lead readers into errors of any kind.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read ({_reason(error)}); download or copy it again, or save its tensors alone."
        ) from error


def read_torch_file(path: Path) -> dict[str, Any]:
    """Read the entries of a file that torch.save wrote; tensors stay on disk until they are used.

    Raises:
        ValueError: if the file is empty, cut, damaged (the record is named), needs code, or has no names.
    """
    with name_file_in_errors(path):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=_check_records(path))
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            kind = type(content).__name__
            raise TypeError(f"it holds a {kind}, not a state dict or another mapping of names")
    return content


def write_torch_file(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values by torch.save; a reader sees the old file or the new one.

    Raises:
        OSError: if it cannot be written; what was there is kept.
    """
    with replacing(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # what torch makes of a full disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise OSError(str(error).splitlines()[0].rstrip(".")) from error


def require_tensors(content: object, origin: str | Path) -> dict[str, Tensor]:
    """Return the content of a file as a state dict; ValueError if it does not map names to dense tensors."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{origin} has a {type(content).__name__} for weights, need names and tensors; give another.")  # noqa: TRY004
    for key, value in content.items():
        if not isinstance(key, str) or not is_dense(value):
            raise ValueError(
                f"{origin} has {_kind(value)} as {shorten(repr(key))}, need a dense tensor of floats of 16 bits or "
                "more, integers or booleans; give other weights."
            )
    return dict(content)


def require_finite_weights(
    state: Mapping[str, Tensor],
    origin: str | Path,
    remedy: str = "its training diverged, use an earlier checkpoint",
) -> None:
    """Raise ValueError, which ends with `remedy`, if a weight is NaN or infinite."""
    for key, value in state.items():
        if not bool(value.isfinite().all()):
            raise ValueError(f"{origin} holds NaN or infinity in {shorten(key)}; {remedy}.")


def _check_records(path: Path) -> bool:
    """Compare every record with its checksum; False for a file without any, of torch before 1.6."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if not start:
        raise ValueError("it is empty")
    if not zipfile.is_zipfile(path):
        if start == _ZIP:
            raise ValueError("it is cut short, the list of its records is missing")
        if start[:1] != _PICKLE:
            lfs = ", perhaps a pointer of Git LFS: run git lfs pull" if start == b"vers" else ""
            raise ValueError(f"it is no file that torch.save wrote{lfs}")
        return False
    with zipfile.ZipFile(path) as archive:
        if not any(name.endswith("/data.pkl") for name in archive.namelist()):
            raise ValueError("it is a ZIP archive that torch.save did not write")
        # Unpacking could fill the memory, and torch packs nothing.
        for item in archive.infolist():
            if item.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"its record {item.filename} is compressed")
        wrong = archive.testzip()
        if wrong:
            raise ValueError(f"its record {wrong} differs from its checksum")
    return True


def is_dense(value: object) -> TypeGuard[Tensor]:
    """Return whether a value is a tensor of numbers that this library computes with."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return value.dtype in DTYPES and not (value.is_quantized or value.is_meta or value.is_nested)


def _kind(value: object) -> str:
    return f"a {value.type()}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            return "it is damaged, or no file that torch.save wrote"
        return f"it holds more than tensors ({code[1]}), which loading would have to run as code"
    return reason_of(error)
