"""The usual PNGs, decoded in a third of Pillow's time: inflated by ISA-L, their filters undone by libpng."""

import struct
from collections.abc import Iterator
from typing import Literal

import imagecodecs
import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8
from PIL import Image

Kind = Literal["rgb", "ids"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {"rgb": {2: 3}, "ids": {0: 1, 3: 1}}  # of the colour types of PNG that a kind may have
# Chunks that change no pixel and turn no image; any other is left to Pillow.
_HARMLESS = {b"PLTE", b"gAMA", b"sRGB", b"cHRM", b"pHYs", b"tIME", b"bKGD", b"sBIT", b"iCCP", b"tEXt"}
_PROFILE = b"Raw profile"  # a text that may hold EXIF
_BLOCK = 65535  # bytes of the largest block that deflate stores as it is


def decode(content: bytes, kind: Kind) -> UInt8[np.ndarray, "H W *channels"] | None:
    """Decode a PNG of 8 bits per channel, every checksum compared.

    Args:
        content: of the file.
        kind: "rgb" for three channels of colour; "ids" for one of grey or, of a palette, its indices.

    Returns:
        Values in [0, 255]; None where the file is anything else or damaged, of which Pillow shall judge.
    """
    try:
        return _decoded(content, kind)
    except (ValueError, struct.error, isal_zlib.error, imagecodecs.PngError):  # type: ignore[misc]
        return None


def _decoded(content: bytes, kind: Kind) -> UInt8[np.ndarray, "H W *channels"] | None:
    chunks = list(_chunks(content))
    width, height, bits, colour, *methods = struct.unpack(">IIBBBBB", chunks[0][1])
    channels = _CHANNELS[kind].get(colour)
    if chunks[0][0] != b"IHDR" or bits != 8 or any(methods) or channels is None or not all(map(_usual, chunks[1:-1])):
        return None
    length = height * (1 + width * channels)  # a byte before each row names its filter
    if not 0 < width * height <= (Image.MAX_IMAGE_PIXELS or 0):
        return None
    inflater = isal_zlib.decompressobj()
    rows = inflater.decompress(b"".join(data for name, data in chunks if name == b"IDAT"), max_length=length + 1)
    if len(rows) != length or not inflater.eof:
        return None
    pixels: np.ndarray = imagecodecs.png_decode(_stored(rows, width, height, 2 if channels == 3 else 0))
    return pixels


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and data of each chunk up to IEND; raise a ValueError where a checksum differs."""
    if not content.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    at, name = len(_SIGNATURE), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + length]
        if (isal_zlib.crc32(data, isal_zlib.crc32(name)),) != struct.unpack_from(">I", content, at + 8 + length):
            raise ValueError("a checksum differs")
        yield name, data
        at += 12 + length


def _usual(chunk: tuple[bytes, bytes]) -> bool:
    name, data = chunk
    return name == b"IDAT" or (name in _HARMLESS and not data.startswith(_PROFILE))


def _stored(rows: bytes, width: int, height: int, colour: int) -> bytes:
    """Write a PNG whose filtered rows are not compressed."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"".join((_SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", *_blocks(rows)), *_chunk(b"IEND")))


def _blocks(rows: bytes) -> Iterator[bytes | memoryview]:
    yield b"\x78\x01"
    for start in range(0, len(rows), _BLOCK):
        part = memoryview(rows)[start : start + _BLOCK]
        yield struct.pack("<BHH", start + _BLOCK >= len(rows), len(part), len(part) ^ 0xFFFF)
        yield part
    yield struct.pack(">I", isal_zlib.adler32(rows))


def _chunk(name: bytes, *data: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    checksum = isal_zlib.crc32(name)
    for part in data:
        checksum = isal_zlib.crc32(part, checksum)
    return struct.pack(">I", sum(map(len, data))), name, *data, struct.pack(">I", checksum)
