"""Read image files."""

import io
import logging
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import imagecodecs
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from hrda_lit.data.pixels import PNG, KindError, Pixels, deep_values, may_turn, rgb, scaled, upright_size

log = logging.getLogger(__name__)
# Pillow itself refuses decompression bombs, from twice as many pixels on; large pictures are common.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# Those that keep a picture and nothing else; Pillow would hand others, such as EPS, to further programs.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".mpo", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm", ".gif"),
    *(".jp2", ".j2k", ".avif"),
)
NUMPY = b"\x93NUMPY"
# How files of other formats begin, for messages.
_OTHERS = {
    b"%!PS": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    NUMPY: "NumPy",
    b"<svg": "SVG",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"<?xml": "XML",
    b"PK\3\4": "zip",
    b"\x1f\x8b": "gzip",
    b"\x89HDF": "HDF5",
    b"version https://git-lfs": "Git LFS (a pointer to the file)",
}
_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow refuses more
MOST_DARK = 12  # bits of 16 that images use that are shown nearly black
Result = TypeVar("Result")


def read_pixels(path: Path, bits: int | None = None, content: bytes | None = None) -> Pixels:
    """Read an image of any of `FORMATS` as upright RGB in [0, 255].

    Args:
        path: path of the file.
        bits: bits that the values of a 16-bit image use, see `pixels.scaled`; None for 16, with warnings of
            what the data check would report: values of 12 or fewer, and further frames.
        content: bytes of a file that lies in an archive; None for one on disk.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is broken or no image.
    """
    whole = read_content(path, content)

    def read(file: ImageFile.ImageFile) -> Pixels:
        if bits is None and count_frames(file) > 1:
            log.warning("%s holds %d frames, of which the first is read", path, count_frames(file))
        deep = deep_values(file, whole)
        if deep is None:
            return rgb(file)
        dark = "" if bits else describe_dark([_range(deep)], "bits")
        if dark:
            log.warning("%s %s", path, dark)
        return scaled(deep, bits)

    pixels = _usual_png(whole)
    return decode(path, read, whole) if pixels is None else pixels


def read_image(path: Path, bits: int | None = None, content: bytes | None = None) -> UInt8[Tensor, "3 H W"]:
    """Read what `read_pixels` reads as a tensor, whose channels lie together as in the file."""
    return torch.from_numpy(read_pixels(path, bits, content)).permute(2, 0, 1)


def read_size(path: Path, content: bytes | None = None) -> tuple[int, int]:
    """Read (height, width) of an upright image from its header, see `open_picture`."""
    return open_picture(path, upright_size, content)


def open_picture(path: Path, read: Callable[[ImageFile.ImageFile], Result], content: bytes | None = None) -> Result:
    """Open an image file, not decoded yet, and return what `read` returns of it; for errors see `read_pixels`.

    Without `content`, its bytes are read from disk as they are needed.
    """
    _require(path, content)
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF comes with Pillow 11.3
    with (
        name_in_errors(path),
        warnings.catch_warnings(),
        path.open("rb") if content is None else io.BytesIO(content) as stream,
    ):
        # Pillow warns of damaged or odd metadata; damaged pixels raise.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            file = Image.open(stream, formats=formats)
        except UnidentifiedImageError:
            stream.seek(0)
            raise _unknown_format(stream.read(64)) from None
        except Image.DecompressionBombError:
            raise KindError(f"holds more than {_MOST_PIXELS} pixels; cut it into tiles") from None
        _refuse_pages(file)
        return read(file)


def _refuse_pages(image: Any) -> None:
    """Raise a KindError for an opened TIFF of several pages of one size; smaller ones are previews."""
    if image.format != "TIFF" or image.n_frames == 1:
        return
    size, pages = image.size, 0
    for page in range(image.n_frames):
        image.seek(page)
        pages += image.size == size
    image.seek(0)
    if pages > 1:
        raise KindError(f"holds {pages} pages, of which one would be read; save each as a file of its own")


def count_frames(file: ImageFile.ImageFile) -> int:
    """Return the number of frames of an opened animation; 1 for pictures with previews, as of phones."""
    return 1 if file.format in ("TIFF", "MPO") else int(getattr(file, "n_frames", 1))


def deep_range(path: Path, content: bytes | None = None) -> tuple[int, float]:
    """Return the largest and the mean value of an image of more than 8 bits per channel."""
    whole = read_content(path, content)
    deep = decode(path, lambda file: deep_values(file, whole), whole)
    return (65535, 0) if deep is None else _range(deep)


def _range(values: np.ndarray) -> tuple[int, float]:
    return int(values.max()), float(values.mean())


def describe_dark(ranges: Sequence[tuple[int, float]], key: str) -> str:
    """Describe 16-bit images of some (largest, mean) values that use 12 or fewer bits; "" if they use more.

    `key` is the key or argument that says how many bits they use.
    """
    most = max((largest for largest, _ in ranges), default=0)
    bits = max(8, most.bit_length())
    if bits > MOST_DARK:
        return ""
    mean = sum(mean for _, mean in ranges) / len(ranges) / 257
    return (
        f"holds 16 bits per channel, but no value above {most}: read as they are, the mean is {mean:.0f} of 255, "
        f"nearly black; set {key}={bits}, or the bits of the camera."
    )


def decode(path: Path, read: Callable[[ImageFile.ImageFile], Result], content: bytes) -> Result:
    """Open a picture as `open_picture` does, and compare the checksums of a PNG, which decoding does not."""
    if content.startswith(PNG):
        open_picture(path, lambda file: file.verify(), content)
    return open_picture(path, read, content)


def _usual_png(content: bytes) -> Pixels | None:
    """Decode an upright 8-bit RGB PNG in half of Pillow's time; None for any other file."""
    if not content.startswith(PNG) or content[24:26] != b"\x08\x02":  # bits and kind of colour
        return None
    width, height = struct.unpack_from(">II", content, 16)
    if width * height > (Image.MAX_IMAGE_PIXELS or 0) or may_turn(content):
        return None
    try:
        pixels: np.ndarray = imagecodecs.png_decode(content)
    except (imagecodecs.PngError, ValueError):
        return None  # Pillow says what is wrong
    return pixels if pixels.shape == (height, width, 3) else None


def read_content(path: Path, content: bytes | None) -> bytes:
    """Return the bytes of a file: those given, or from disk."""
    _require(path, content)
    return path.read_bytes() if content is None else content


def _require(path: Path, content: bytes | None) -> None:
    # A pipe would be waited for.
    if content is None and not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, need an image file; check the path or the dataset's rules.")


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Turn whatever reading a file raises into one sentence with its path."""
    try:
        yield
    except KindError as error:
        raise ValueError(f"{path} {error}.") from error
    # Pillow's readers raise whatever a damaged file leads them to: struct.error, SyntaxError, KeyError, ...
    except Exception as error:
        reason = " ".join(str(error).split()).replace(str(path), "it")
        raise ValueError(f"{path} is broken or no image ({reason}); copy it again or remove it.") from error


def _unknown_format(start: bytes) -> ValueError:
    known = ", ".join(FORMATS)
    if not start:
        return ValueError("it is empty")
    if start[4:8] == b"ftyp":
        kind = "AVIF, for which Pillow 11.3 is needed" if start[8:11] == b"avi" else "HEIC or a video"
        known += ", or let hrda_lit.predict read a video, whose name needs a suffix such as .mp4"
    else:
        kind = next((kind for magic, kind in _OTHERS.items() if start.startswith(magic)), "")
    if kind:
        remedy = "unpack it" if kind in ("zip", "gzip") else f"save it as one of {known}"
        return KindError(f"is {kind}, which is not read as an image; {remedy}")
    if start[:4] in (b"II*\0", b"MM\0*"):
        return ValueError("a TIFF of a kind that is not read, or damaged")
    return ValueError(f"it does not begin as any of {known}")
