"""Read label files: the class id, or the colour, of each pixel as the file holds it."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ImageFile
from torch import Tensor

from hrda_lit.data.images import NUMPY, decode, name_in_errors, read_content
from hrda_lit.data.layout import Channel
from hrda_lit.data.pixels import KindError, Pixels, deep_values, raw_mode, rgb, turn_upright

# Compression of photographs invents ids along the borders of classes.
_LOSSY = ("JPEG", "MPO", "JPEG2000", "AVIF")
_MODES = ("1", "L", "P", "LA", "PA", "RGB", "RGBA")  # of 8 bits, in which ids are found
_KINDS = {"index": "one channel of ids or a palette", "red16": "three channels of 16 bits"}


def read_label(path: Path, channel: Channel = "index", content: bytes | None = None) -> UInt8[Tensor, "H W"]:
    """Read the raw class id of each pixel, in [0, 255].

    Args:
        path: PNG file, another that keeps every id, or a two-dimensional array of integers (.npy).
        channel: "index" for one channel (with or without alpha), three equal ones, or a palette, whose
            indices are the ids; "red16" for 16 bits per channel with the id, below 256, in the first
            (SYNTHIA).
        content: bytes of a file that lies in an archive; None for one on disk.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is broken, lossy or of another kind than `channel` says.
    """
    whole = read_content(path, content)
    if whole.startswith(NUMPY):
        with name_in_errors(path):
            return torch.from_numpy(as_ids(read_array(whole)))
    return torch.from_numpy(decode(path, lambda file: _class_ids(file, whole, channel), whole))


def read_label_colours(path: Path, content: bytes | None = None) -> Pixels:
    """Read a label whose colours stand for its classes; for errors see `read_label`."""
    whole = read_content(path, content)

    def colours(file: ImageFile.ImageFile) -> Pixels:
        _refuse_lossy(file, whole)
        return rgb(file)

    return decode(path, colours, whole)


def read_array(content: bytes) -> np.ndarray:
    """Read a label of NumPy's; raises a KindError unless it is a two-dimensional array of integers."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise KindError(f"holds {array.dtype} of shape {array.shape}, need integers of shape (height, width)")
    return np.asarray(array)


def as_ids(values: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    """Return integers as uint8; raises a KindError if one is not in 0 to 255."""
    if values.size and (values.min() < 0 or values.max() > 255):
        stray = values.min() if values.min() < 0 else values.max()
        raise KindError(f"holds the id {stray}, need ids from 0 to 255; convert it or exclude it")
    return values.astype(np.uint8)


def _class_ids(file: ImageFile.ImageFile, content: bytes, channel: Channel) -> UInt8[np.ndarray, "H W"]:
    """Read the upright class ids of a label that is opened, but not decoded."""
    _refuse_lossy(file, content)
    raw, step = raw_mode(file), _grey_step(file)  # before it is decoded
    deep = deep_values(file, content)
    if channel == "index":
        values = _one_channel(file, deep)
    else:
        values = None if deep is None or deep.shape[2:] != (3,) else deep[..., 0]
    if values is None:
        raise KindError(
            f"does not hold {_KINDS[channel]}, which label_channel={channel} needs, but {raw or file.mode}; convert "
            "it, or set layout.label_channel, or layout.colour_map where colours stand for classes"
        )
    return as_ids(values if step == 1 else np.rint(values / step).astype(np.int64))


def _refuse_lossy(file: ImageFile.ImageFile, content: bytes) -> None:
    is_lossy = file.format in _LOSSY or file.info.get("compression") in ("jpeg", "tiff_jpeg")  # of a TIFF
    if is_lossy or (file.format == "WEBP" and b"VP8L" not in content):
        raise KindError(f"is a {file.format}, whose compression changes ids along borders; export labels as PNG")


def _one_channel(file: ImageFile.ImageFile, deep: np.ndarray | None) -> np.ndarray | None:
    """Return one channel: the grey one next to alpha, the indices of a palette or one of three equal channels."""
    if deep is None and file.mode not in _MODES:
        return None
    values = turn_upright(np.asarray(file), file) if deep is None else deep
    if values.ndim == 2:
        return values
    is_grey = values.shape[2] == 2 or bool((values[..., 1:3] == values[..., :1]).all())
    return values[..., 0] if is_grey else None


def _grey_step(file: ImageFile.ImageFile) -> float:
    """Return by what Pillow multiplies grey of few bits, or of a PPM, so that its largest value is white."""
    raw, args = raw_mode(file), file.tile[0][3] if file.tile else None
    if file.format == "PPM" and file.mode in ("L", "I", "RGB") and isinstance(args, tuple):
        return (65535 if file.mode == "I" else 255) / int(args[1])
    return 85 if raw.startswith("L;2") else 17 if raw.startswith("L;4") else 1
