"""Read image and label files."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageFile
from torch import Tensor

# Pillow, because torchvision's decoder garbles palettes of fewer than 8 bits, crashes the process on damaged
# PNGs and is deprecated since torchvision 0.29.

Channel = Literal["index", "red16"]


def read_image(path: Path) -> UInt8[Tensor, "3 H W"]:
    """Read an RGB image.

    Args:
        path: a PNG or JPEG file; grey images get three equal channels, transparency is dropped.

    Returns:
        Values in [0, 255].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken.
    """
    return _decode(path, "RGB").permute(2, 0, 1).contiguous()


def read_label(path: Path, channel: Channel = "index") -> UInt8[Tensor, "H W"]:
    """Read the raw class id of each pixel.

    Args:
        path: a PNG file.
        channel: "index" for one 8-bit channel or a palette, whose indices are the ids; "red16" for 16 bits
            per channel with the id, below 256, in the first (SYNTHIA).

    Returns:
        Raw ids in [0, 255].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or of another kind than `channel` says.
    """
    return _decode(path, channel)


def _decode(path: Path, kind: Literal["RGB"] | Channel) -> UInt8[Tensor, "..."]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, need an image file; check the data set's root and rules.")
    try:
        with Image.open(path) as file:
            right_kind = _prepare(file, kind)
            pixels = np.array(file.convert("RGB") if kind == "RGB" else file)
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f"{path} is broken or no PNG or JPEG image ({error}); copy it again or leave it out with layout.exclude."
        ) from error
    if not right_kind:
        wanted = "one channel or a palette" if kind == "index" else "three channels of 16 bits"
        raise ValueError(
            f"label {path} does not hold {wanted}, which label_channel={kind} needs; convert the file or set "
            "layout.label_channel."
        )
    return torch.from_numpy(pixels[..., 0] if kind == "red16" else pixels)


def _prepare(file: ImageFile.ImageFile, kind: Literal["RGB"] | Channel) -> bool:
    """Tell whether an opened file is of the wanted kind, and make Pillow keep the low bytes of 16-bit ids."""
    if kind != "red16":
        return kind == "RGB" or file.mode in ("P", "L")
    if file.tile[0][3] != "RGB;16B":
        return False
    # Pillow keeps the high byte of each pair; read as if the bytes were swapped, it keeps the low one.
    file.tile = [file.tile[0]._replace(args="RGB;16L")]
    return True
