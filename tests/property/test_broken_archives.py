"""Damaged archives: refused by name, or every member is listed and read as it was packed."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data import archives
from hrda_lit.data.archives import list_members, read_member
from hrda_lit.data.images import read_pixels
from hrda_lit.data.pixels import Pixels

pytestmark = pytest.mark.slow

CASES = 15  # of each damage to each archive


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {f"images/{index:02d}.png": picture(index) for index in range(5)}
LINKS = {"images/link.png": "00.png", "images/hard.png": "images/01.png"}


def tarred(kind: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as file:
        # Links go first: zeros over the last member are no damage that a tar shows.
        for (name, target), kind_of_link in zip(LINKS.items(), (tarfile.SYMTYPE, tarfile.LNKTYPE), strict=True):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind_of_link, target
            file.addfile(info)
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5 if kind == tarfile.PAX_FORMAT else 1
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    return buffer.getvalue()


class Unseekable(io.BytesIO):
    """A stream to which a zip is written with sizes and checksums behind each member."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def streamed() -> bytes:
    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    return buffer.getvalue()


ARCHIVES: dict[str, bytes] = {
    "ustar.tar": tarred(tarfile.USTAR_FORMAT),
    "gnu.tar": tarred(tarfile.GNU_FORMAT),
    "pax.tar": tarred(tarfile.PAX_FORMAT),
    "stored.zip": zipped(zipfile.ZIP_STORED),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
    "streamed.zip": streamed(),
}


def flips(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    for at, bit in zip(rng.integers(0, len(content), count), rng.integers(0, 8, count), strict=True):
        yield content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def cuts(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    for at in rng.integers(0, len(content), count):
        yield content[:at]


def holes(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    for at, length in zip(rng.integers(0, len(content), count), rng.integers(1, 600, count), strict=True):
        yield content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


def overwrites(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    for at in rng.integers(0, len(content), count):
        yield content[:at] + rng.bytes(8) + content[at + 8 :]


DAMAGES: tuple[Callable[[bytes, int, np.random.Generator], Iterator[bytes]], ...] = (flips, cuts, holes, overwrites)


def attempt(run: Callable[[], Any], name: str) -> Any:
    """Return the result, or None where one line that names the file refuses it."""
    fault = ""
    try:
        return run()
    except ValueError as error:
        fault = str(error)
    assert name in fault
    assert len(fault.splitlines()) == 1
    return None


def check(path: Path, names: set[str]) -> bool:
    """Return whether an archive is refused; fail where it is neither refused nor whole."""
    archives._list.cache_clear()  # the clock of the file system is slower than this
    members = attempt(lambda: list_members(path), str(path))
    if members is None:
        return True
    assert names <= members.keys()

    def read(name: str) -> Pixels:
        opened = zipfile.ZipFile(path) if path.suffix == ".zip" else None
        return read_pixels(path.parent / name, None, read_member(members[name], opened))

    found = [(attempt(lambda name=name: read(name), name), content) for name, content in FILES.items()]
    for pixels, content in found:
        assert pixels is None or np.array_equal(pixels, read_pixels(path, None, content))
    return any(pixels is None for pixels, _ in found)


def fuzz(name: str, tmp_path: Path, count: int, seed: int) -> None:
    path, content, rng = tmp_path / name, ARCHIVES[name], np.random.default_rng(seed)
    names = {*FILES, *(LINKS if name.endswith(".tar") else ())}
    path.write_bytes(content)
    assert not check(path, names)
    for damage in DAMAGES:
        for broken in damage(content, count, rng):
            path.write_bytes(broken)
            check(path, names)


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_damaged_archive_is_refused_or_whole(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, CASES, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ARCHIVES)
def test_many_damaged_archives_are_refused_or_whole(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, 14 * CASES, 1)  # 5,040 in all


@pytest.mark.parametrize("name", [name for name in ARCHIVES if name.endswith(".tar")])
def test_each_flipped_bit_of_a_header_is_refused(name: str, tmp_path: Path) -> None:
    path, content = tmp_path / name, ARCHIVES[name]
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        starts = [info.offset_data - 512 for info in file]
    for start in starts:
        for at in (0, 3, 100, 124, 130, 150, 156, 257, 300):
            path.write_bytes(content[: start + at] + bytes([content[start + at] ^ 1]) + content[start + at + 1 :])
            archives._list.cache_clear()
            with pytest.raises(ValueError, match=rf"{name} cannot be read \("):
                list_members(path)
