"""What the file of a picture says about itself: upright RGB values, or the class ids of a label."""

import warnings
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, ImageOps

Channel = Literal["index", "red16"]
Pixels = UInt8[np.ndarray, "H W 3"]

_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 turn an image by a quarter
# Compression of photographs invents ids along the borders of classes.
_LOSSY = ("JPEG", "MPO", "JPEG2000")
_KINDS = {
    "index": "one channel of ids or a palette",
    "red16": "three channels of 16 bits",
}


class KindError(ValueError):
    """Say what an intact file holds, what is needed and what to do, to be read after the file's path."""


def rgb(image: Image.Image) -> Pixels:
    """Turn an image of any mode into RGB, upright as cameras tell by EXIF.

    Args:
        image: grey ones get three equal channels, 16 bits are scaled to 8, transparency is dropped.

    Returns:
        Values in [0, 255].

    Raises:
        KindError: if it holds numbers that are no brightness of 8 or 16 bits.
    """
    upright = _upright(image)
    if upright.mode.startswith("I"):
        return np.repeat(_eight_bits(np.asarray(upright))[..., None], 3, axis=2)
    if upright.mode == "F":
        raise KindError("holds fractions, need 8 or 16 bits per channel; convert it")
    with warnings.catch_warnings():
        # Pillow would like transparent palettes to stay transparent.
        warnings.filterwarnings("ignore", "Palette images with Transparency", UserWarning)
        return np.array(upright.convert("RGB"))


def class_ids(file: ImageFile.ImageFile, channel: Channel) -> UInt8[np.ndarray, "H W"]:
    """Read the class id of each pixel of an opened label, upright.

    Args:
        file: not decoded yet.
        channel: see `images.read_label`.

    Returns:
        Ids in [0, 255].

    Raises:
        KindError: if it is of another kind, lossy, or holds an id above 255.
    """
    refuse_lossy(file)
    if channel == "red16":
        _keep_low_bytes(file)
        return np.asarray(_upright(file))[..., 0].copy()
    raw = _raw_mode(file)
    if file.mode not in ("1", "L", "P", "LA", "PA") and not file.mode.startswith("I"):
        raise _other_kind(channel, raw or file.mode)
    ids = np.asarray(_upright(file))
    ids = ids[..., 0] if ids.ndim == 3 else ids
    if ids.dtype not in (np.uint8, bool) and ids.size and (ids.min() < 0 or ids.max() > 255):
        strange = ids.min() if ids.min() < 0 else ids.max()
        raise KindError(f"holds the id {strange}, need ids from 0 to 255; convert it or leave it out")
    return (ids // _grey_step(raw)).astype(np.uint8)


def refuse_lossy(file: ImageFile.ImageFile) -> None:
    """Raise a KindError for a label whose file format does not keep ids."""
    if file.format in _LOSSY:
        raise KindError(f"is a {file.format}, whose compression changes ids along borders; export labels as PNG")


def upright_size(file: ImageFile.ImageFile) -> tuple[int, int]:
    """Return (height, width) of an opened file as `rgb` and `class_ids` give it; nothing is decoded.

    A PNG may tell behind its pixels that it is turned, which is known after `file.load()` only.
    """
    # Asked for EXIF that its head does not have, Pillow decodes a whole PNG to look behind the pixels.
    told = file.format != "PNG" or not file.info.keys().isdisjoint(("exif", "Raw profile type exif"))
    turned = told and file.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (file.width, file.height) if turned else (file.height, file.width)


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image)


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    if grey.size and (grey.min() < 0 or grey.max() > 65535):
        raise KindError(f"holds values from {grey.min()} to {grey.max()}, need 8 or 16 bits per channel; convert it")
    # 257 = 65535 / 255
    return ((grey.astype(np.int64) + 128) // 257).astype(np.uint8)


def _raw_mode(file: ImageFile.ImageFile) -> str:
    """Return how pixels lie in the file, e.g. "L;4" for grey of 4 bits, which Pillow calls "L"."""
    if not file.tile:
        return ""
    args = file.tile[0][3]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _grey_step(raw: str) -> int:
    """Return by what Pillow multiplies grey of 2 and 4 bits, so that white becomes 255."""
    return 85 if raw.startswith("L;2") else 17 if raw.startswith("L;4") else 1


def _keep_low_bytes(file: ImageFile.ImageFile) -> None:
    if _raw_mode(file) != "RGB;16B":
        raise _other_kind("red16", _raw_mode(file) or file.mode)
    # Pillow keeps the high byte of each pair; read as if the bytes were swapped, it keeps the low one.
    file.tile = [file.tile[0]._replace(args="RGB;16L")]


def _other_kind(channel: Channel, found: str) -> KindError:
    return KindError(
        f"does not hold {_KINDS[channel]}, which label_channel={channel} needs, but {found}; convert it, or set "
        "layout.label_channel, or layout.colour_map where colours stand for classes"
    )
