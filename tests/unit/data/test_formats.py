"""Files as people have them: formats, kinds of labels, 16 bits, orientation, links and names."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from hrda_lit.data.classes import classes_from
from hrda_lit.data.file_tree import FileTree, walk
from hrda_lit.data.folder import FolderDataset
from hrda_lit.data.images import read_image, read_pixels, read_size
from hrda_lit.data.label_files import read_label
from hrda_lit.data.labels import ColourMap
from hrda_lit.data.transforms import half_crop
from hrda_lit.inspecting.survey import read_header

Make = Callable[..., Any]
RNG = np.random.default_rng(0)
IDS = np.repeat(np.array([[0, 1], [2, 3]], np.uint8), 8, axis=0).repeat(8, axis=1)
GREY = (np.arange(16)[:, None] * 10 + np.arange(32) * 3).astype(np.uint8)
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def turned(a: np.ndarray, orientation: int) -> np.ndarray:
    return {
        1: a, 2: a[:, ::-1], 3: a[::-1, ::-1], 4: a[::-1], 5: a.T, 6: a[::-1].T, 7: a[::-1, ::-1].T, 8: a[:, ::-1].T,
    }[orientation]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.mpo", "a.bmp", "a.tif", "a.webp", "a.ppm", "a.gif", "a.jp2", "a.avif"]
)
def test_what_pillow_can_read_is_read(tmp_path: Path, name: str) -> None:
    grey = Image.fromarray(GREY)
    (grey if name == "a.gif" else grey.convert("RGB")).save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert np.abs(image.numpy().astype(int) - GREY[None]).max() < 12
    assert read_size(tmp_path / name) == (16, 32)
    header = read_header(tmp_path / name, FileTree(tmp_path))
    assert header[:2] == (16, 32)
    assert not header.fault


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"%!PS-Adobe", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"v/1\x01", "OpenEXR"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\x93NUMPY\1\0", "NumPy"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"II*\0\xff\xff", "TIFF"),
        (b"no picture", "does not begin as any of PNG, JPEG"),
        (b"<!DOCTYPE html>", "HTML"),
    ],
)
def test_any_other_file_is_named_with_its_format(tmp_path: Path, start: bytes, word: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(start)
    for read in (read_image, read_size):
        with pytest.raises(ValueError, match=word) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "BytesIO" not in str(caught.value)
        assert "PNG" in str(caught.value) or word == "TIFF"


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("how", ["exif", "xmp"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "deflated.tif", "a.webp", "a.avif", "16.tif", "16.png"])
def test_the_check_and_the_reader_turn_a_file_alike(tmp_path: Path, name: str, how: str, orientation: int) -> None:
    options: dict[str, Any] = {"quality": 100} if name.endswith(("jpg", "webp", "avif")) else {}
    if name.startswith("deflated"):
        options["compression"] = "tiff_deflate"
    exif = Image.Exif()
    exif[0x0112] = orientation
    xmp = XMP.format(orientation)
    if how == "exif":
        options["exif"] = exif
    elif name.endswith("png"):
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    elif name.endswith("tif"):
        options["tiffinfo"] = ImageFileDirectory_v2()
        options["tiffinfo"].tagtype[700] = 7
        options["tiffinfo"][700] = xmp.encode()
    else:
        options["xmp"] = xmp.encode()
    image = Image.fromarray(GREY.astype(np.uint16) * 257 if name.startswith("16") else GREY)
    (image.convert("RGB") if name.endswith(("webp", "avif")) else image).save(tmp_path / name, **options)
    upright = turned(GREY, orientation)
    read = read_image(tmp_path / name)[0].numpy()
    assert read.shape == read_size(tmp_path / name) == upright.shape
    assert np.abs(read.astype(int) - upright).max() < 12
    for every in (False, True):
        assert read_header(tmp_path / name, FileTree(tmp_path), every)[:2] == upright.shape


def save_npy(path: Path, values: np.ndarray) -> None:
    np.save(path, values)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.npy", lambda path: save_npy(path, IDS)),
        ("a.npy", lambda path: save_npy(path, IDS.astype(np.int64))),
        ("a.png", lambda path: Image.fromarray(IDS).convert("RGB").save(path)),
        ("a.png", lambda path: Image.fromarray(IDS).convert("RGBA").save(path)),
        ("a.webp", lambda path: Image.fromarray(IDS).convert("RGB").save(path, lossless=True)),
        ("a.bmp", lambda path: Image.fromarray(IDS).save(path)),
        ("a.tif", lambda path: path.write_bytes(imagecodecs.tiff_encode(np.stack([IDS.astype(np.uint16)] * 3, -1)))),
        ("a.png", lambda path: path.write_bytes(imagecodecs.png_encode(np.stack([IDS.astype(np.uint16)] * 2, -1)))),
    ],
)
def test_kinds_of_labels(tmp_path: Path, name: str, save: Callable[[Path], Any]) -> None:
    save(tmp_path / name)
    assert (read_label(tmp_path / name).numpy() == IDS).all()
    assert read_header(tmp_path / name, FileTree(tmp_path))[:2] == IDS.shape


@pytest.mark.parametrize(
    ("name", "save", "sentence"),
    [
        ("a.npy", lambda path: save_npy(path, IDS[None]), r"holds uint8 of shape \(1, 16, 16\), need integers"),
        ("a.npy", lambda path: save_npy(path, IDS / 2), "holds float64"),
        ("a.npy", lambda path: save_npy(path, IDS + np.int64(300)), "holds the id 303"),
        ("a.npy", lambda path: np.save(path, np.array([[{}]]), allow_pickle=True), "broken or no image"),
        ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY\1\0"), "broken or no image"),
        ("a.webp", lambda path: Image.fromarray(IDS).convert("RGB").save(path), "is a WEBP, whose compression"),
        ("a.tif", lambda path: Image.fromarray(IDS).save(path, compression="jpeg"), "is a TIFF, whose compression"),
        ("a.avif", lambda path: Image.fromarray(IDS).convert("RGB").save(path), "is a AVIF, whose compression"),
        ("a.png", lambda path: Image.fromarray(IDS).convert("HSV").convert("RGB").save(path), None),
        ("a.png", lambda path: Image.new("RGB", (4, 4), (1, 2, 1)).save(path), "does not hold one channel"),
    ],
)
def test_labels_that_hold_no_ids_are_named(
    tmp_path: Path, name: str, save: Callable[[Path], Any], sentence: str | None
) -> None:
    save(tmp_path / name)
    if sentence is None:
        assert read_label(tmp_path / name).shape == IDS.shape
        return
    with pytest.raises(ValueError, match=sentence) as caught:
        read_label(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    header = read_header(tmp_path / name, FileTree(tmp_path))
    assert header.fault or not name.endswith("npy")


DEEP = {
    "grey.png": lambda values: png_of(values),
    "grey.tif": lambda values: tiff_of(values),
    "colour.png": lambda values: png_of(np.stack([values, values // 2, values // 3], -1)),
    "colour.tif": lambda values: tiff_of(np.stack([values, values // 2, values // 3], -1)),
}


def png_of(values: np.ndarray) -> bytes:
    content: bytes = imagecodecs.png_encode(values)
    return content


def tiff_of(values: np.ndarray) -> bytes:
    content: bytes = imagecodecs.tiff_encode(values)
    return content


@pytest.mark.parametrize("name", DEEP)
def test_16_bits_of_which_12_are_used(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    values = RNG.integers(0, 4096, (8, 9), dtype=np.uint16)
    values[0, 0] = 4095
    (tmp_path / name).write_bytes(DEEP[name](values))
    assert (read_pixels(tmp_path / name, 12)[..., 0] == np.round(values / 4095 * 255)).all()
    assert not caplog.text
    assert read_pixels(tmp_path / name).max() == 16
    assert "holds 16 bits per channel, but no value above 4095" in caplog.text
    assert "set bits=12" in caplog.text
    with pytest.raises(ValueError, match=r"holds values from \d+ to 4095, need 0 to 1023; raise bits"):
        read_pixels(tmp_path / name, 10)
    assert read_header(tmp_path / name, FileTree(tmp_path)).is_deep


def test_a_dataset_has_its_bits(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(DEEP["colour.png"](np.full((8, 9), 4095, np.uint16)))
    dataset = FolderDataset("x", str(tmp_path), "*.png", {}, "cityscapes", layout={"bits": 12})
    assert dataset.read(dataset.files("train", labelled=False)[0])[0][0].eq(255).all()


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    real, root = tmp_path / "elsewhere", tmp_path / "data"
    for folder in (real / "deep", root / "own"):
        folder.mkdir(parents=True)
        Image.fromarray(GREY).save(folder / "a.png")
    (root / "linked").symlink_to(real, target_is_directory=True)
    (root / "own/loop").symlink_to(root, target_is_directory=True)
    (real / "back").symlink_to(real, target_is_directory=True)
    found = [path.relative_to(root).as_posix() for path in sorted(walk(root))]
    assert found == ["linked/deep/a.png", "own/a.png"]
    dataset = FolderDataset("x", str(root), "**/*.png", {}, "cityscapes")
    assert [sample.image for sample in dataset.files("train", False)] == sorted(walk(root))
    os.unlink(root / "linked")
    assert len(dataset.files("train", False)) == 1


def test_several_suffixes_in_one_folder(make_dataset: Make) -> None:
    rule = {"images/": "labels/", ".*": ".png"}
    dataset = make_dataset(images="images/{split}/*", label_rule=rule)
    with Image.open(dataset.root / "images/train/003.jpg") as image:
        image.save(dataset.root / "images/train/003.png")
    (dataset.root / "images/train/003.jpg").unlink()
    (dataset.root / "images/train/notes.txt").write_text("no picture")
    samples = dataset.files("train", True)
    assert [sample.image.name for sample in samples][3] == "003.png"
    assert all(sample.label.stem == sample.image.stem for sample in samples)
    assert [path.name for path in dataset.list_unused("train")] == ["notes.txt"]
    alone = make_dataset(images="images/{split}/*.jpg")
    assert [path.name for path in alone.list_unused("train")] == ["003.png", "notes.txt"]
    with pytest.raises(ValueError, match=r"'\.\*' for suffixes that differ"):
        make_dataset(images="images/{split}/*").files("train", True)


def test_labels_and_other_splits_beside_images_are_used(make_dataset: Make) -> None:
    dataset = make_dataset(images="images/{split}/*.jpg", label_rule={".jpg": "_mask.png"})
    for path in (dataset.root / "images/train").iterdir():
        path.with_name(f"{path.stem}_mask.png").touch()
    assert dataset.list_unused("train") == []


@pytest.mark.parametrize("name", [True, False, None])
def test_a_name_that_yaml_took_for_something_else(name: Any) -> None:
    with pytest.raises(
        ValueError, match=r"classes.names\[0\]=\w+: expected text .*" + ("quotes" if name is not None else "")
    ):
        classes_from({"names": [name, "road"]})
    with pytest.raises(ValueError, match="put it into quotes"):
        ColourMap({name: [0, 0, 0]}, classes_from({"names": ["a", "b"]}))


@pytest.mark.parametrize(
    ("size", "crop"),
    [((360, 480), [256, 352]), ((1080, 1920), [768, 1344]), ((20, 40), [32, 32])],
)
def test_the_rule_for_a_crop(size: tuple[int, int], crop: list[int]) -> None:
    assert half_crop(size) == crop


def late(content: bytes, name: bytes, data: bytes) -> bytes:
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return content[:-12] + chunk + content[-12:]


@pytest.mark.parametrize("text", [XMP.format(6).encode(), XMP.format(6).encode() + b" " * 40_000])
def test_a_png_that_says_behind_its_pixels_that_it_is_turned(tmp_path: Path, text: bytes) -> None:
    buffer, path = io.BytesIO(), tmp_path / "a.png"
    Image.fromarray(GREY).convert("RGB").save(buffer, "PNG")
    path.write_bytes(late(buffer.getvalue(), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text))
    assert (read_image(path)[0].numpy() == turned(GREY, 6)).all()
    if len(text) < 10_000:
        assert read_header(path, FileTree(tmp_path))[:2] == (32, 16)
    assert read_header(path, FileTree(tmp_path), every=True)[:2] == (32, 16)


HUGE = struct.pack(">IIBBBBB", 20_000, 10_000, 1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (
            late(late(b"\x89PNG\r\n\x1a\n" + bytes(12), b"IHDR", HUGE), b"IDAT", b""),
            "holds more than 178956970 pixels; cut it into tiles",
        ),
    ],
)
def test_empty_and_huge_files(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, read_size, read_label):
        with pytest.raises(ValueError, match=rf"a.png .*{sentence}"):
            read(tmp_path / "a.png")


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    path, page = tmp_path / "a.tif", Image.fromarray(GREY)
    page.save(path, save_all=True, append_images=[page.resize((16, 8)), page.resize((8, 4))])  # previews
    assert (read_image(path)[0].numpy() == GREY).all()
    assert (read_label(path).numpy() == GREY).all()
    page.save(path, save_all=True, append_images=[page])
    for read in (read_image, read_size, read_label):
        with pytest.raises(ValueError, match=r"a.tif holds 2 pages, of which one would be read; save each"):
            read(path)
    assert "holds 2 pages" in read_header(path, FileTree(tmp_path)).fault


@pytest.mark.parametrize(
    ("head", "dtype"),
    [("P5\n16 16\n3\n", "u1"), ("P5\n16 16\n255\n", "u1"), ("P5\n16 16\n300\n", ">u2"), ("P2\n16 16\n3\n", "")],
)
def test_ids_of_a_pgm_are_as_written_whatever_its_largest_value(tmp_path: Path, head: str, dtype: str) -> None:
    body = IDS.astype(dtype).tobytes() if dtype else " ".join(map(str, IDS.flatten())).encode()
    (tmp_path / "a.pgm").write_bytes(head.encode() + body)
    assert (read_label(tmp_path / "a.pgm").numpy() == IDS).all()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, read_size, read_label):
        with pytest.raises(FileNotFoundError, match=r"a.png does not exist"):
            read(tmp_path / "a.png")


def test_an_orientation_that_is_not_a_number_is_ignored(tmp_path: Path) -> None:
    buffer, path = io.BytesIO(), tmp_path / "a.jpg"
    Image.fromarray(GREY).save(buffer, "JPEG")
    tag = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, 2, 2, b"6", 0)  # as text
    path.write_bytes(
        buffer.getvalue()[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + buffer.getvalue()[2:]
    )
    assert read_image(path).shape[1:] == read_size(path) == GREY.shape


def test_a_folder_that_cannot_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("open/a.png", "closed/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [path.name for path in walk(tmp_path)] == ["a.png"]
    assert f"the folder {tmp_path}/closed cannot be listed (Permission denied) and is skipped" in caplog.text
