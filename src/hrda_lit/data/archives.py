"""Files of data sets on disk or in archives, which read as if they had been unpacked where they lie."""

import fnmatch
import os
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hrda_lit.data.names import same
from hrda_lit.system.paths import require_below

_KINDS = (".zip", ".tar")  # in which any file is found at once; compressed tars are read from their start
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".txz", ".zst", ".7z", ".rar")


class Member(NamedTuple):
    """A file in an archive, what tells that it is still the same, and for tars where it begins."""

    archive: Path
    name: str
    size: int
    mark: int
    offset: int = 0


_indices: dict[Path, dict[str, Member]] = {}  # by root of a data set, and by name below it
_roots: set[Path] = set()


def mount(root: Path) -> None:
    """Let the archives of a folder, or one archive, be read as the files of a data set; opens nothing yet.

    Args:
        root: a folder that holds archives, or an archive.
    """
    _roots.add(root)
    _indices.pop(root, None)


def is_dir(root: Path) -> bool:
    """Tell whether a data set's root is a folder or an archive.

    Raises:
        ValueError: if it is an archive that cannot be read in any order.
    """
    if root.is_file() and root.suffix.lower() in _COMPRESSED:
        raise ValueError(f"{root} would be read from its start for every file; unpack it, or pack it as .zip or .tar.")
    return root.is_dir() or _is_archive(root)


def is_file(path: Path) -> bool:
    """Tell whether there is a file, on disk or in an archive."""
    return path.is_file() or _member(path) is not None


def content(path: Path) -> bytes:
    """Read a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the archive is damaged there.
    """
    member = None if path.is_file() else _member(path)
    return path.read_bytes() if member is None else _read(member)


def state(path: Path) -> tuple[int, int]:
    """Return what changes when a file does: its size, and its time or, in a zip, its checksum.

    Raises:
        OSError: if there is no such file.
    """
    if not path.is_file() and (member := _member(path)) is not None:
        return member.size, member.mark
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def found(root: Path, pattern: str) -> list[Path]:
    """Find files in the archives of a root.

    Args:
        root: given to `mount`.
        pattern: as of `names.search`: `**` for any depth, hidden files fit no `*`; parts without wildcards, or that
            are there as they are written, are taken literally.

    Returns:
        What fits, in no order.

    Raises:
        ValueError: if an archive is damaged.
    """
    wanted = [same(part) for part in PurePosixPath(pattern).parts]
    return [root / member.name for name, member in _index(root).items() if _fits(name.split("/"), wanted)]


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted or not parts:
        return not wanted and not parts
    if wanted[0] == "**":
        return _fits(parts, wanted[1:]) or (not parts[0].startswith(".") and _fits(parts[1:], wanted))
    shown = not parts[0].startswith(".") or wanted[0].startswith(".")
    return (parts[0] == wanted[0] or (shown and fnmatch.fnmatchcase(parts[0], wanted[0]))) and _fits(
        parts[1:], wanted[1:]
    )


def _member(path: Path) -> Member | None:
    for root in _roots.intersection(path.parents):
        if (member := _index(root).get(same(path.relative_to(root).as_posix()))) is not None:
            return member
    return None


def _index(root: Path) -> dict[str, Member]:
    if root not in _indices:
        archives = [root] if _is_archive(root) else sorted(filter(_is_archive, root.glob("*")))
        _indices[root] = {same(member.name): member for archive in reversed(archives) for member in _members(archive)}
    return _indices[root]


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() in _KINDS and path.is_file()


def _members(archive: Path) -> list[Member]:
    """List the files of an archive, but those whose names lead out of it."""
    try:
        listed = _of_zip(archive) if archive.suffix.lower() == ".zip" else _of_tar(archive)
        return [member for member in listed if _is_below(member.name)]
    except (zipfile.BadZipFile, tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise _damaged(archive, error) from error


def _of_zip(archive: Path) -> Iterable[Member]:
    with zipfile.ZipFile(archive) as file:
        return [
            Member(archive, info.filename, info.file_size, info.CRC) for info in file.infolist() if not info.is_dir()
        ]


def _of_tar(archive: Path) -> Iterable[Member]:
    with tarfile.open(archive, "r:") as file:
        time = archive.stat().st_mtime_ns
        return [
            Member(archive, str(PurePosixPath(info.name)), info.size, time, info.offset_data)
            for info in file.getmembers()
            if info.isreg()
        ]


def _is_below(name: str) -> bool:
    try:
        require_below(name, "a name in an archive")
    except ValueError:
        return False
    return True


def _read(member: Member) -> bytes:
    try:
        if member.archive.suffix.lower() == ".zip":
            return _opened(member.archive, os.getpid()).read(member.name)
        with member.archive.open("rb") as file:
            file.seek(member.offset)
            content = file.read(member.size)
    # zipfile raises whatever damage leads it to: zlib.error, NotImplementedError, RuntimeError for encryption, ...
    except Exception as error:
        raise _damaged(member.archive, error, member.name) from error
    if len(content) < member.size:
        raise _damaged(member.archive, EOFError("it ends early"), member.name)
    return content


@lru_cache(maxsize=64)
def _opened(archive: Path, process: int) -> zipfile.ZipFile:
    # Not shared with the process this one was forked from: they would share the place in the file.
    return zipfile.ZipFile(archive)


def _damaged(archive: Path, error: Exception, name: str = "") -> ValueError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    where = f"{name} in {archive}" if name else str(archive)
    return ValueError(f"{where} cannot be read ({reason}); copy the archive again, or unpack it and move it away.")
