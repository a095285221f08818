import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.images import read_image, read_label

RNG = np.random.default_rng(0)


def png16(pixels: np.ndarray) -> bytes:
    """Write an RGB PNG of 16 bits per channel, which Pillow cannot."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_image_is_rgb(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png").permute(1, 2, 0).numpy() == pixels).all()


def test_grey_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (7, 5, 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "a.png").permute(1, 2, 0).numpy() == pixels[..., :3]).all()
    assert (read_image(tmp_path / "b.png").numpy() == pixels[None, ..., 0]).all()


@pytest.mark.parametrize("colours", [2, 4, 16, 256])  # stored in 1, 2, 4 and 8 bits
def test_palette_keeps_indices(tmp_path: Path, colours: int) -> None:
    ids = RNG.integers(0, colours, (9, 13), dtype=np.uint8)
    image = Image.fromarray(ids, "P")
    image.putpalette(RNG.integers(0, 256, 3 * colours, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png")
    assert (read_label(tmp_path / "a.png").numpy() == ids).all()


def test_grey_label(tmp_path: Path) -> None:
    ids = RNG.integers(0, 256, (9, 13), dtype=np.uint8)
    Image.fromarray(ids).save(tmp_path / "a.png")
    assert (read_label(tmp_path / "a.png").numpy() == ids).all()


def test_red16_is_the_first_channel(tmp_path: Path) -> None:
    pixels = np.stack([RNG.integers(0, 23, (9, 13)), RNG.integers(0, 65536, (9, 13)), np.zeros((9, 13))], -1)
    (tmp_path / "a.png").write_bytes(png16(pixels))
    assert (read_label(tmp_path / "a.png", "red16").numpy() == pixels[..., 0]).all()
    with pytest.raises(ValueError, match=r"a\.png does not hold one channel"):
        read_label(tmp_path / "a.png")


def test_red16_refuses_8_bits(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png does not hold three channels of 16 bits"):
        read_label(tmp_path / "a.png", "red16")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    Image.fromarray(RNG.integers(0, 256, (60, 50, 3), dtype=np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"a\.\w+ is broken"):
        read_image(path)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_pngs_are_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 256 if seed % 2 else 8, (60, 50, 3), dtype=np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    at = int(rng.integers(41, len(data) - 20))  # inside the compressed pixels
    data[at] ^= 0x5A
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.png is broken"):
        read_image(path)


def test_missing_file_and_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.png does not exist"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ValueError, match=r"a\.png is broken or no image"):
        read_label(tmp_path / "a.png")
