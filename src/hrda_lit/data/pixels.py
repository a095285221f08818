"""From an opened image file to upright values."""

import struct
import warnings
from typing import Any

import imagecodecs
import numpy as np
from jaxtyping import UInt8
from PIL import Image

Pixels = UInt8[np.ndarray, "H W 3"]
PNG = b"\x89PNG\r\n\x1a\n"
_TURNING = (b"Raw profile type", b"XML:com.adobe.xmp")  # begin texts in a PNG that may turn it
_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 turn an image by a quarter
_QUARTERS = (5, 6, 7, 8)


class KindError(ValueError):
    """What an intact file holds, what is needed and what to do; the path of the file goes before it."""


def rgb(image: Image.Image, bits: int | None = None) -> Pixels:
    """Turn an image of any mode into upright RGB of 8 bits.

    Grey images get three equal channels, 16 bits are scaled to 8 (see `scaled`), transparency is dropped.

    Raises:
        KindError: if it holds numbers that are not a brightness of 8 or 16 bits.
    """
    deep = deep_values(image, b"")
    if deep is not None:
        return scaled(deep, bits)
    if image.mode == "F":
        raise KindError("holds fractions, need 8 or 16 bits per channel; convert it")
    with warnings.catch_warnings():
        # Pillow would like transparent palettes to stay transparent.
        warnings.filterwarnings("ignore", "Palette images with Transparency", UserWarning)
        return np.array(turn_upright(np.asarray(image.convert("RGB")), image))


def scaled(values: np.ndarray, bits: int | None = None) -> Pixels:
    """Scale the values of an image of 16 bits to RGB of 8.

    Args:
        values: grey, with or without alpha, or colours.
        bits: number of bits they use, in [8, 16]; None for 16.

    Raises:
        KindError: if a value needs more.
    """
    most = (1 << (bits or 16)) - 1
    if values.size and (values.min() < 0 or values.max() > most):
        remedy = "convert it" if bits is None else "raise bits"
        raise KindError(f"holds values from {values.min()} to {values.max()}, need 0 to {most}; {remedy}")
    channels = np.atleast_3d(values)
    colours = channels[..., : 3 if channels.shape[2] >= 3 else 1]
    small = ((colours.astype(np.int64) * 255 + most // 2) // most).astype(np.uint8)
    return np.array(np.broadcast_to(small, (*small.shape[:2], 3)))


def deep_values(image: Image.Image, content: bytes) -> np.ndarray | None:
    """Return the upright values of an image of more than 8 bits per channel; None for any other.

    Without `content`, the bytes of its file, only grey images are found.
    """
    if image.mode.startswith("I"):
        return turn_upright(np.asarray(image), image)
    if not is_deep(image) or not content:
        return None
    # Pillow keeps the high byte of each value.
    if image.format == "PNG":
        values = imagecodecs.png_decode(content)
        if may_turn(content):
            image.load()  # what turns a PNG may stand behind its pixels
    else:
        values = imagecodecs.tiff_decode(content)
    if values.dtype != np.uint16 or {*values.shape[:2]} != {image.height, image.width}:
        return None
    return turn_upright(values, image)


def is_deep(image: Image.Image) -> bool:
    """Return whether an opened image holds more than 8 bits per channel."""
    many = image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA", "LA") and ";16" in raw_mode(image)
    return many or image.mode.startswith("I")


def may_turn(content: bytes) -> bool:
    """Return whether a PNG has a chunk that may say how it is turned, or that it is animated."""
    at = len(PNG)
    while at + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        if name in (b"eXIf", b"acTL") or content.startswith(_TURNING, at + 8):
            return True
        at += 12 + length
    return False


def upright_size(file: Any) -> tuple[int, int]:
    """Return (height, width) of an opened file as `rgb` gives it; nothing is decoded.

    A PNG may say behind its pixels that it is turned, which is known after `file.load()` only.
    """
    # Pillow swaps the sides of a TIFF when it opens it, if its own tag says so.
    swapped = file.format == "TIFF" and _ORIENTATION in file.tag_v2
    if _orientation(file) in _QUARTERS and not swapped:
        return file.width, file.height
    return file.height, file.width


def _orientation(image: Image.Image) -> int:
    """Return how an image lies in its file, by EXIF or XMP, 1 for upright; of a TIFF that is loaded, 1."""
    # PngImageFile's own would decode a whole PNG to look behind the pixels.
    found = Image.Image.getexif(image).get(_ORIENTATION)
    return found if isinstance(found, int) else 1


def turn_upright(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Flip and turn the values of an opened image as EXIF or XMP say."""
    orientation = _orientation(image)
    flipped = {2: (1,), 3: (0, 1), 4: (0,), 6: (0,), 7: (0, 1), 8: (1,)}.get(orientation, ())
    turned = np.flip(values, flipped)
    return turned.swapaxes(0, 1) if orientation in _QUARTERS else turned


def raw_mode(file: Image.Image) -> str:
    """Return how pixels lie in the file, e.g. "L;4" for grey of 4 bits, which Pillow calls "L"."""
    tile = getattr(file, "tile", None)
    args = tile[0][3] if tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)
