"""The fast decoder against Pillow, and what it leaves to Pillow."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from hrda_lit.data import png

RNG = np.random.default_rng(0)


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def by_hand(rows: bytes, size: tuple[int, int], colour: int, tail: bytes = b"") -> bytes:
    """Write a PNG of filtered rows."""
    header = struct.pack(">IIBBBBB", size[1], size[0], 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows) + tail) + chunk(b"IEND", b"")
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(1, 40), st.sampled_from((0, 2)), st.integers(0))
def test_every_filter_is_undone_as_pillow_does(filters: list[int], width: int, colour: int, seed: int) -> None:
    bytes_a_row = width * (3 if colour == 2 else 1)
    values = np.random.default_rng(seed % 2**32).integers(0, 256, (len(filters), bytes_a_row), dtype=np.uint8)
    rows = b"".join(bytes([kind]) + row.tobytes() for kind, row in zip(filters, values, strict=True))
    content = by_hand(rows, (len(filters), width), colour)
    made = png.decode(content, "rgb" if colour == 2 else "ids")
    assert made is not None
    assert np.array_equal(made, np.asarray(Image.open(io.BytesIO(content))))


def test_rows_of_more_than_one_block() -> None:
    pixels = RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    made = png.decode(encoded(Image.fromarray(pixels)), "rgb")
    assert np.array_equal(made, pixels)


def test_palettes_give_their_indices() -> None:
    ids = RNG.integers(0, 256, (7, 9), dtype=np.uint8)
    image = Image.fromarray(ids, "P")
    image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
    made = png.decode(encoded(image), "ids")
    assert np.array_equal(made, ids)
    assert png.decode(encoded(image), "rgb") is None


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.new("RGB", (5, 4)), exif=exif)


def with_text(name: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(name, "x")
    return encoded(Image.new("RGB", (5, 4)), pnginfo=info)


ROWS = bytes(4 * 16)  # 4 rows of 5 pixels of 3 bytes, with their filters


@pytest.mark.parametrize(
    "make",
    [
        turned,
        lambda: with_text("Raw profile type exif"),
        lambda: encoded(Image.new("RGBA", (5, 4))),
        lambda: encoded(Image.new("L", (5, 4))),
        lambda: encoded(Image.fromarray(np.zeros((4, 5), np.uint16))),
        lambda: encoded(Image.new("RGB", (5, 4)), transparency=(0, 0, 0)),
        lambda: by_hand(ROWS + b"\0", (4, 5), 2),  # more pixels than there should be
        lambda: by_hand(ROWS[:-1], (4, 5), 2),
        lambda: by_hand(b"\7" + ROWS[1:], (4, 5), 2),  # no filter of PNG
        lambda: by_hand(ROWS, (4, 5), 2).replace(b"IEND", b"IENd"),  # a checksum that differs
        lambda: by_hand(ROWS, (4, 5), 2)[:-20],
        lambda: by_hand(ROWS, (1 << 20, 1 << 20), 2),
        lambda: by_hand(bytes(1 << 24), (4, 5), 2),  # far more than it says
        lambda: b"",
        lambda: b"GIF89a",
    ],
)
def test_what_is_left_to_pillow(make: Callable[[], bytes]) -> None:
    assert png.decode(make(), "rgb") is None


def test_harmless_words_are_passed_over() -> None:
    assert np.array_equal(png.decode(with_text("Software"), "rgb"), np.zeros((4, 5, 3)))
