import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.images import read_image, read_size
from hrda_lit.data.label_files import read_label
from hrda_lit.inspecting.survey import read_header

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


def test_damaged_metadata_costs_no_picture_and_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description that is longer than what is left of it"
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif.tobytes()[:24])
    assert read_image(tmp_path / "a.jpg").shape == (3, 6, 8)
    assert read_size(tmp_path / "a.jpg") == (6, 8)
    assert not recwarn.list


def test_missing_file_and_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.png does not exist"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ValueError, match=r"a\.png is broken or no image"):
        read_label(tmp_path / "a.png")


def grey_png(values: np.ndarray, bits: int) -> bytes:
    """Write a grey PNG of 1, 2 or 4 bits, most of which Pillow cannot."""
    height, width = values.shape
    rows = [np.unpackbits(row[:, None].astype(np.uint8), axis=1)[:, 8 - bits :].flatten() for row in values]
    body = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_holds_ids_as_they_are(tmp_path: Path, bits: int) -> None:
    ids = RNG.integers(0, 2**bits, (9, 13), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(grey_png(ids, bits))
    assert (read_label(tmp_path / "a.png").numpy() == ids).all()


@pytest.mark.parametrize("kind", ["I;16", "I;16 tiff", "I tiff", "LA", "PA"])
def test_labels_of_more_bits_or_with_alpha(tmp_path: Path, kind: str) -> None:
    ids = RNG.integers(0, 256, (9, 13), dtype=np.uint8)
    path = tmp_path / ("a.tif" if "tiff" in kind else "a.png")
    if kind == "LA":
        Image.fromarray(np.stack([ids, RNG.integers(0, 256, ids.shape, dtype=np.uint8)], -1), "LA").save(path)
    elif kind == "PA":
        image = Image.fromarray(ids, "P")
        image.putpalette(bytes(range(256)) * 3)
        image.save(path, transparency=bytes(range(256)))
    else:
        Image.fromarray(ids.astype(np.uint16 if "16" in kind else np.int32)).save(path)
    assert (read_label(path).numpy() == ids).all()


@pytest.mark.parametrize(("value", "dtype"), [(256, np.uint16), (65535, np.uint16), (70000, np.int32), (-1, np.int32)])
def test_ids_that_are_none_are_named(tmp_path: Path, value: int, dtype: type) -> None:
    path = tmp_path / ("a.png" if dtype is np.uint16 else "a.tif")
    Image.fromarray(np.full((3, 3), value, dtype)).save(path)
    with pytest.raises(ValueError, match=rf"{path.name} holds the id {value}, need ids from 0 to 255"):
        read_label(path)


def test_a_lossy_label_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg is a JPEG, whose compression changes ids"):
        read_label(tmp_path / "a.jpg")


def test_grey_images_of_16_bits_are_scaled(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "b.tif")
    wanted = np.round(values / 257)
    for name in ("a.png", "b.tif"):
        assert (read_image(tmp_path / name).numpy() == wanted[None]).all()
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "c.tif")
    with pytest.raises(ValueError, match=r"c\.tif holds fractions"):
        read_image(tmp_path / "c.tif")


def test_cmyk_and_one_bit_images(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 3), (200, 30, 90), np.uint8)
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg").permute(1, 2, 0).numpy().astype(int) - pixels).max() < 4
    Image.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png").numpy() == 255 * np.eye(8)[None]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_images_and_labels_are_turned_as_they_say(tmp_path: Path, name: str, orientation: int) -> None:
    ids = np.zeros((8, 16), np.uint8)
    ids[:, 8:] = 255  # halves that JPEG keeps
    ids[:4] //= 5
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ids).save(tmp_path / name, exif=exif, quality=100)
    upright = {
        1: ids, 2: ids[:, ::-1], 3: ids[::-1, ::-1], 4: ids[::-1],
        5: ids.T, 6: ids[::-1].T, 7: ids[::-1, ::-1].T, 8: ids[:, ::-1].T,
    }[orientation]  # fmt: skip
    image = read_image(tmp_path / name)
    assert np.abs(image[0].numpy().astype(int) - upright).max() < 8
    assert read_size(tmp_path / name) == upright.shape
    assert read_header(tmp_path / name, FileTree(tmp_path))[:2] == upright.shape
    if name == "a.png":
        assert (read_label(tmp_path / name).numpy() == upright).all()
        data = (tmp_path / name).read_bytes()  # the chunk behind the pixels
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
        (tmp_path / name).write_bytes(late)
        assert (read_label(tmp_path / name).numpy() == upright).all()
        assert read_header(tmp_path / name, FileTree(tmp_path))[:2] == upright.shape
