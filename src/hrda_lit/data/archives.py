"""The files in zip and tar archives; what a listing claims is compared with the whole archive."""

import posixpath
import stat
import struct
import tarfile
import zipfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from hrda_lit.system.paths import require_below
from hrda_lit.system.text import reason_of

KINDS = (".zip", ".tar")  # members are found at once; compressed tars are read from their start
COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".txz", ".zst", ".7z", ".rar", ".zip.001")

_BLOCK = 512  # bytes of a tar
_MOST_LINKS = 40  # in a chain; Linux follows as many


class Member(NamedTuple):
    """A file in an archive: where it is, its size in bytes, and a mark that changes when it does."""

    archive: Path
    name: str
    size: int
    mark: int
    offset: int = 0


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive of `KINDS`, by its suffix."""
    return path.suffix.lower() in KINDS and path.is_file()


def list_members(archive: Path) -> dict[str, Member]:
    """List the files of an archive, links resolved, without those whose names lead out of it.

    Raises:
        ValueError: if the archive is damaged, or holds what is neither a file, a folder nor a link to one.
    """
    try:
        status = archive.stat()
        return dict(_list(archive, (status.st_size, status.st_mtime_ns)))
    # zipfile and tarfile raise whatever damage leads them to: struct.error, OverflowError, ...
    except Exception as error:
        raise _damaged(str(archive), error) from error


@lru_cache(maxsize=64)
def _list(archive: Path, state: tuple[int, int]) -> dict[str, Member]:
    files, links = _list_zip(archive) if archive.suffix.lower() == ".zip" else _list_tar(archive)
    for name in links:
        files |= _follow(name, files, links)
    kept = {}
    for name, member in files.items():
        with suppress(ValueError):
            require_below(name, "a name in an archive")
            kept[name] = member
    return kept


def read_member(member: Member, opened: zipfile.ZipFile | None = None) -> bytes:
    """Read a file of an archive, `opened` if that is a zip; a ValueError if it is damaged there."""
    try:
        if opened is not None:
            content = opened.read(member.name)
        else:
            with member.archive.open("rb") as file:
                file.seek(member.offset)
                content = file.read(member.size)
        if len(content) != member.size:
            raise EOFError("it ends early")
    except Exception as error:
        raise _damaged(f"{member.name} in {member.archive}", error) from error
    return content


def _list_tar(archive: Path) -> tuple[dict[str, Member], dict[str, str]]:
    files: dict[str, Member] = {}
    links: dict[str, str] = {}
    mark = archive.stat().st_mtime_ns
    with tarfile.open(archive, "r:") as tar:
        for info in tar:
            name = str(PurePosixPath(info.name))
            links.pop(name, None)  # of two members of one name the later counts
            if info.issym() or info.islnk():
                links[name] = _link_target(name if info.issym() else "", info.linkname)
                files.pop(name, None)
            elif info.issparse() or not (info.isreg() or info.isdir()):
                raise ValueError(f"{name} in it is sparse, a device or a pipe")
            elif info.isreg():
                files[name] = Member(archive, name, info.size, mark, info.offset_data)
        _check_end_of_tar(archive, tar.offset)
    return files, links


def _check_end_of_tar(archive: Path, end: int) -> None:
    # A damaged header ends tarfile's listing without an error, and the members behind it are not listed.
    zeros = 0
    with archive.open("rb") as file:
        file.seek(end)
        for piece in iter(lambda: file.read(1 << 20), b""):
            if any(piece):
                raise ValueError("its listing stops before its end")
            zeros += len(piece)
    if zeros < _BLOCK:
        raise ValueError("its end is missing")


def _list_zip(archive: Path) -> tuple[dict[str, Member], dict[str, str]]:
    files: dict[str, Member] = {}
    links: dict[str, str] = {}
    if archive.with_suffix(".z01").exists():
        raise ValueError("it is one of several volumes")
    with zipfile.ZipFile(archive) as opened, archive.open("rb") as file:
        _check_zip(opened, file)
        for info in opened.infolist():
            name = str(PurePosixPath(info.filename.replace("\\", "/")))  # as some programs for Windows write it
            if stat.S_ISLNK(info.external_attr >> 16):
                links[name] = _link_target(name, opened.read(info).decode())
            elif not info.filename.endswith(("/", "\\")):
                files[name] = Member(archive, info.filename, info.file_size, info.CRC)
    return files, links


def _check_zip(opened: zipfile.ZipFile, file: IO[bytes]) -> None:
    """Compare each entry of the directory with the header of its content, and find headers without entry."""
    gaps, end = [], 0
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        opened.open(info).close()  # compares names, and refuses encrypted members and unknown methods
        gaps.append((end, info.header_offset))
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<2H", file.read(4))
        end = info.header_offset + 30 + name + extra + info.compress_size
    for start, stop in [*gaps, (end, opened.start_dir)]:
        file.seek(start)
        if b"PK\3\4" in file.read(max(0, stop - start)):
            raise ValueError("it holds files that its directory does not list")


def _follow(name: str, files: dict[str, Member], links: dict[str, str]) -> dict[str, Member]:
    """Return what a link leads to: a file, or all files below a folder."""
    target = name
    for _ in range(_MOST_LINKS):
        target = links.get(target, target)
    if target in files:
        return {name: files[target]}
    below = {name + path[len(target) :]: member for path, member in files.items() if path.startswith(f"{target}/")}
    if not below:
        raise ValueError(f"{name} in it is a link to {links[name]}, which is not in it")
    return below


def _link_target(name: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def _damaged(where: str, error: Exception) -> ValueError:
    remedy = "copy the archive again, or unpack it and move it away"
    return ValueError(f"{where} cannot be read ({reason_of(error)}); {remedy}.")
