"""What can be told of a file without decoding it, and whether it is whole."""

import os
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFile

from hrda_lit.data.archives import content
from hrda_lit.data.images import decoded, opened
from hrda_lit.data.pixels import upright_size

_PNG_END = b"IEND\xaeB\x60\x82"  # the last chunk's name and checksum
_JPEG_END = b"\xff\xd9"
_LATE_EXIF = b"eXIf"  # a chunk that may stand behind the pixels and turn them
_TAIL = 1 << 12  # bytes in which an end is looked for, because some programs write more behind it


class Header(NamedTuple):
    """(height, width) of an upright picture in pixels, Pillow's name of its mode, and what is wrong with the file."""

    height: int
    width: int
    mode: str
    fault: str = ""


def read_header(path: Path) -> Header:
    """Read the header of a picture and look at the end of its file.

    Args:
        path: of the file; other formats than PNG and JPEG are decoded, because their ends say nothing.
    """
    return _looked_at(path, decode=False)


def decode(path: Path) -> Header:
    """Read a picture to its last pixel."""
    return _looked_at(path, decode=True)


def _looked_at(path: Path, decode: bool) -> Header:
    def look(file: ImageFile.ImageFile) -> Header:
        tail = _tail(path)
        if not _ends_whole(tail, file.format) or _LATE_EXIF in tail or decode:
            file.load()
        return Header(*upright_size(file), file.mode)

    try:
        return (decoded if decode else opened)(path, look)
    except (ValueError, OSError) as error:
        return Header(0, 0, "", str(error))


def _tail(path: Path) -> bytes:
    if not path.is_file():
        return content(path)[-_TAIL:]
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(-min(_TAIL, length), os.SEEK_END)
        return file.read()


def _ends_whole(tail: bytes, kind: str | None) -> bool:
    """Tell whether the end of a file is there; False where only decoding tells."""
    if kind == "PNG":
        # Pillow forgives a missing end.
        if _PNG_END not in tail:
            raise OSError("the file is truncated, the end of the PNG is missing")
        return True
    return kind in ("JPEG", "MPO") and tail.rstrip(b"\0").endswith(_JPEG_END)
