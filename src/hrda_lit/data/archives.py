"""The files in zip and tar archives; what a listing claims is compared with the whole archive."""

import stat
import struct
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from hrda_lit.system.paths import require_below

KINDS = (".zip", ".tar")  # members are found at once; compressed tars are read from their start
COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".txz", ".zst", ".7z", ".rar", ".zip.001")

_BLOCK = 512  # bytes of a tar
_LOCAL = struct.Struct("<4s5H3I2H")  # the header before each member of a zip
_DESCRIPTOR = 8  # the flag of a zip member whose size and checksum follow its content
_ENCRYPTED = 1  # flags of a zip member
_UTF8 = 0x800  # the flag of a zip member whose name is in UTF-8
_IN_EXTRA = 0xFFFFFFFF  # a size that stands in a field of zip64
_MOST_LINKS = 40  # in a chain; Linux follows as many
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


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
    return {name: member for name, member in files.items() if _is_below(name)}


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
            name = _plain(info.name)
            links.pop(name, None)  # of two members of one name the later counts
            if info.issym() or info.islnk():
                links[name] = _link_target(name, info.linkname) if info.issym() else _plain(info.linkname)
                files.pop(name, None)
            elif info.issparse() or not (info.isreg() or info.isdir()):
                raise ValueError(f"{name} in it is sparse, a device or a pipe")
            elif info.isreg():
                files[name] = Member(archive, name, info.size, mark, info.offset_data)
        _check_end_of_tar(archive, tar.offset)
    return files, links


def _check_end_of_tar(archive: Path, end: int) -> None:
    # A damaged header ends tarfile's listing without an error, and the members behind it are not listed.
    with archive.open("rb") as file:
        file.seek(end)
        pieces = iter(lambda: file.read(1 << 20), b"")
        zeros = sum(len(piece) if not any(piece) else -(1 << 62) for piece in pieces)
    if zeros < _BLOCK:
        raise ValueError("its listing stops before its end" if zeros else "its end is missing")


def _list_zip(archive: Path) -> tuple[dict[str, Member], dict[str, str]]:
    files: dict[str, Member] = {}
    links: dict[str, str] = {}
    if archive.with_suffix(".z01").exists():
        raise ValueError("it is one of several volumes")
    with zipfile.ZipFile(archive) as opened, archive.open("rb") as file:
        _check_headers_of_zip(opened, file)
        for info in opened.infolist():
            if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
                raise ValueError(f"{info.filename} in it is encrypted or compressed by a method that is not read")
            name = _plain(info.filename.replace("\\", "/"))  # as some programs for Windows write it
            if stat.S_ISLNK(info.external_attr >> 16):
                links[name] = _link_target(name, opened.read(info).decode())
            elif not info.filename.endswith(("/", "\\")):
                files[name] = Member(archive, info.filename, info.file_size, info.CRC)
    return files, links


def _check_headers_of_zip(opened: zipfile.ZipFile, file: IO[bytes]) -> None:
    """Compare each entry of the directory with the header of its content, and find headers without entry."""
    end, gaps = 0, []
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        gaps.append((end, info.header_offset))
        end = _check_header_of_zip(file, info)
    for start, stop in [*gaps, (end, opened.start_dir)]:
        file.seek(start)
        if b"PK\3\4" in file.read(max(0, stop - start)):
            raise ValueError("it holds files that its directory does not list")
    if len(opened.infolist()) != _count_of_entries(file, opened):
        raise ValueError("its directory is cut")


def _check_header_of_zip(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where the content of a member ends."""
    file.seek(info.header_offset)
    magic, _, _, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
    text = file.read(name).decode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    pairs = [(text, info.orig_filename), (method, info.compress_type)]
    if not info.flag_bits & _DESCRIPTOR:
        sizes = ((crc, info.CRC), (packed, info.compress_size), (size, info.file_size))
        pairs += [(a, b) for a, b in sizes if a != _IN_EXTRA]
    if magic != b"PK\3\4" or any(a != b for a, b in pairs):
        raise ValueError(f"its directory and the file disagree on {info.filename!r}")
    end: int = info.header_offset + _LOCAL.size + name + extra + info.compress_size
    return end


def _count_of_entries(file: IO[bytes], opened: zipfile.ZipFile) -> int:
    """Count the entries of the central directory in the file, whatever its end says."""
    file.seek(opened.start_dir)
    count, rest = 0, file.read()
    at = 0
    while rest[at : at + 4] == b"PK\1\2":
        name, extra, comment = struct.unpack_from("<3H", rest, at + 28)
        count, at = count + 1, at + 46 + name + extra + comment
    return count


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
    parts: list[str] = [] if target.startswith("/") else [*PurePosixPath(name).parent.parts]
    for part in PurePosixPath(target).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return _plain("/".join(parts))


def _plain(name: str) -> str:
    return str(PurePosixPath(name))


def _is_below(name: str) -> bool:
    try:
        require_below(name, "a name in an archive")
    except ValueError:
        return False
    return True


def _damaged(where: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ValueError(f"{where} cannot be read ({reason}); copy the archive again, or unpack it and move it away.")
