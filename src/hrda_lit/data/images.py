"""Read image and label files."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import torch
from jaxtyping import UInt8
from PIL import Image, ImageFile
from torch import Tensor

from hrda_lit.data import archives, png
from hrda_lit.data.pixels import Channel, KindError, Pixels, class_ids, refuse_lossy, rgb

# Pillow, but for the usual PNGs, because torchvision's decoder garbles palettes of fewer than 8 bits, crashes the
# process on damaged PNGs and is deprecated since torchvision 0.29.

# Those that keep a picture and nothing else; Pillow would hand others, such as EPS, to further programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")

Made = TypeVar("Made")


def read_pixels(path: Path) -> Pixels:
    """Read an image of any of `FORMATS` as upright RGB.

    Args:
        path: of the file; see `pixels.rgb`.

    Returns:
        Values in [0, 255].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or no image.
    """
    return decoded(path, rgb, "rgb")


def read_image(path: Path) -> UInt8[Tensor, "3 H W"]:
    """Read what `read_pixels` reads as a tensor, whose channels lie together as in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or no image.
    """
    return torch.from_numpy(read_pixels(path)).permute(2, 0, 1)


def read_label(path: Path, channel: Channel = "index") -> UInt8[Tensor, "H W"]:
    """Read the raw class id of each pixel.

    Args:
        path: a PNG file, or another that keeps every id.
        channel: "index" for one channel (with or without alpha) or a palette, whose indices are the ids; "red16" for
            16 bits per channel with the id, below 256, in the first (SYNTHIA).

    Returns:
        Raw ids in [0, 255].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or of another kind than `channel` says.
    """
    return torch.from_numpy(decoded(path, lambda file: class_ids(file, channel), "ids" if channel == "index" else None))


def read_label_colours(path: Path) -> Pixels:
    """Read a label whose colours stand for its classes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or lossy.
    """

    def colours(file: ImageFile.ImageFile) -> Pixels:
        refuse_lossy(file)
        return rgb(file)

    return decoded(path, colours, "rgb")


def decoded(path: Path, read: Callable[[ImageFile.ImageFile], Made], kind: png.Kind | None = None) -> Made:
    """Read something of an image file of which every byte counts, see `opened`.

    Args:
        path: of the file.
        read: gets the opened file, not decoded yet.
        kind: what `png.decode` returns where that is what `read` returns.
    """
    _require_file(path)
    content = archives.content(path)
    if kind and (made := png.decode(content, kind)) is not None:
        return cast(Made, made)
    opened(path, _compare_checksums, content)
    return opened(path, read, content)


def _compare_checksums(file: ImageFile.ImageFile) -> None:
    if file.format == "PNG":
        file.verify()  # decoding does not look at those of the pixels


def opened(path: Path, read: Callable[[ImageFile.ImageFile], Made], content: bytes | None = None) -> Made:
    """Open an image file and read something of it.

    Args:
        path: of the file.
        read: gets the opened file, not decoded yet.
        content: of the file, where it has been read.

    Returns:
        What `read` returns.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or no image, or holds something else than `read` needs.
    """
    _require_file(path)
    if content is None and not path.is_file():
        content = archives.content(path)
    try:
        with Image.open(path if content is None else io.BytesIO(content), formats=FORMATS) as file:
            return read(file)
    except KindError as error:
        raise ValueError(f"{path} {error}.") from error
    # Pillow's readers raise whatever a damaged file leads them to: struct.error, SyntaxError, KeyError, ...
    except Exception as error:
        reason = " ".join(str(error).split()).replace(str(path), "it")
        raise ValueError(
            f"{path} is broken or no image ({reason}); copy it again or leave it out with layout.exclude."
        ) from error


def _require_file(path: Path) -> None:
    if not archives.is_file(path):
        raise FileNotFoundError(f"{path} does not exist, need an image file; check the path or the data set's rules.")
