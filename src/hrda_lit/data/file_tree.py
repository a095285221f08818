"""The files below a folder, on disk or in archives, found by patterns or names."""

import fnmatch
import logging
import os
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from glob import escape, glob, has_magic
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from hrda_lit.data.archives import COMPRESSED, Member, is_archive, list_members, read_member

log = logging.getLogger(__name__)

_SYSTEM = ("Thumbs.db", "desktop.ini")  # left in folders of pictures by Windows


class FileTree:
    """Read files below a folder, or in one archive, as if archives had been unpacked where they lie.

    Files on disk take precedence over those in archives, which are listed once, when first needed. A copy in
    another process opens the archives again, because a shared handle has one position.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._members: dict[str, Member] | None = None
        self._zips: dict[tuple[int, Path], zipfile.ZipFile] = {}

    def is_there(self) -> bool:
        """Return whether the root is a folder or an archive.

        Raises:
            ValueError: if it is an archive that would be read from its start for each file.
        """
        if self.root.is_file() and self.root.name.lower().endswith(COMPRESSED):
            raise ValueError(
                f"{self.root} would be read from its start for every file; unpack it, or pack it as .zip or .tar."
            )
        return self.root.is_dir() or is_archive(self.root)

    def is_file(self, path: Path) -> bool:
        """Return whether there is a file, on disk or in an archive."""
        return path.is_file() or self._member(path) is not None

    def archived(self, path: Path) -> bytes | None:
        """Read a file that lies in an archive; None for any other; a ValueError if the archive is damaged."""
        member = None if path.is_file() else self._member(path)
        if member is None:
            return None
        return read_member(member, self._opened(member.archive) if member.archive.suffix.lower() == ".zip" else None)

    def state(self, path: Path) -> tuple[int, ...]:
        """Return (size, time), in a zip (size, checksum), which change when a file does; () without a file."""
        if path.is_file():
            status = path.stat()
            return status.st_size, status.st_mtime_ns
        member = self._member(path)
        return () if member is None else (member.size, member.mark)

    def search(self, pattern: str) -> list[Path]:
        """Find files as `search` does, in archives only where none is on disk; a ValueError if damaged."""
        # Archives next to what was unpacked from them are not opened.
        found = search(self.root, pattern)
        if found:
            return found
        parts = [same(part) for part in PurePosixPath(pattern).parts]
        return [self.root / name for name in self._index() if _fits(name.split("/"), parts)]

    def beside(self, folders: Iterable[Path]) -> list[Path]:
        """List the files directly in some folders, except hidden ones and those of operating systems."""
        parents = {*folders}
        found = []
        for folder in filter(Path.is_dir, parents):
            found += [Path(file) for file in os.scandir(folder) if file.is_file()]
        if not found:
            found = [path for path in map(self.root.joinpath, self._index()) if path.parent in parents]
        return sorted(path for path in found if not path.name.startswith(".") and path.name not in _SYSTEM)

    def describe(self, pattern: str) -> str:
        """Say what lies where a pattern begins, for messages; "" where nothing does."""
        base, _ = literal(self.root, PurePosixPath(pattern).parts)
        found = sorted(path.name for path in base.glob("*") if not path.name.startswith("."))
        packed = [name for name in found if name.lower().endswith(COMPRESSED)]
        if packed:
            return f", {base / packed[0]} is not read: unpack it, or pack it as .zip or .tar"
        if base == self.root:
            found = sorted(self._index()) or found
        return f", {base} holds {', '.join(found[:3])}" if found else ""

    def _member(self, path: Path) -> Member | None:
        if self.root not in path.parents:
            return None
        return self._index().get(same(path.relative_to(self.root).as_posix()))

    def _index(self) -> dict[str, Member]:
        if self._members is None:
            archives = [self.root] if is_archive(self.root) else sorted(filter(is_archive, self.root.glob("*")))
            self._members = {}
            for archive in reversed(archives):
                self._members |= {same(name): member for name, member in list_members(archive).items()}
        return self._members

    def _opened(self, archive: Path) -> zipfile.ZipFile:
        key = os.getpid(), archive
        if key not in self._zips:
            self._zips[key] = zipfile.ZipFile(archive)
        return self._zips[key]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zips": {}}


def walk(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder and the folders that are linked there, each folder once, in no order."""
    seen: set[tuple[int, int]] = set()
    roots = [folder]
    while roots:
        for parent, folders, names in os.walk(roots.pop(), onerror=_report_skipped):
            status = os.stat(parent)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            # Links go last, so that a folder is listed where it lies, and a loop leads nowhere.
            roots += [Path(parent, name) for name in folders if os.path.islink(os.path.join(parent, name))]
            yield from (Path(parent, name) for name in names)


def _report_skipped(error: OSError) -> None:
    log.warning("the folder %s cannot be listed (%s) and is skipped", error.filename, error.strerror)


def same(text: str) -> str:
    """Return one form of a name: an accent may be a character of its own or part of its letter."""
    return unicodedata.normalize("NFC", text)


def _forms(text: str) -> list[str]:
    """Return a name as it is written and with accents in both forms."""
    return list(dict.fromkeys([text, same(text), unicodedata.normalize("NFD", text)]))


def existing(path: Path) -> Path:
    """Return the path with each name in the form of accents that is there, or as it is."""
    if path.exists() or str(path).isascii():
        return path
    base, rest = literal(Path(path.anchor), path.parts[1:] if path.anchor else path.parts)
    return path if rest else base


def search(root: Path, pattern: str) -> list[Path]:
    """Find files by a glob whose leading folders are taken literally where they are there.

    So a bracket in the name of a folder is a bracket, and accents are found in either form. `**` stands for any
    depth, linked folders included; hidden files fit no `*`.
    """
    base, rest = literal(root, PurePath(pattern).parts)
    if not rest:
        return [base] if base.is_file() else []
    if "**" in rest:
        parts = [same(part) for part in rest]
        return [path for path in walk(base) if _fits(same(path.relative_to(base).as_posix()).split("/"), parts)]
    found = set[Path]()
    for form in _forms("/".join(rest)):
        found.update(map(Path, glob(f"{escape(str(base))}/{form}")))
    return sorted(found)


def literal(root: Path, parts: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """Walk down while the parts of a pattern exist as written; return how far it went and the parts left."""
    for index, part in enumerate(parts):
        further = next((path for path in map(root.joinpath, _forms(part)) if path.exists()), None)
        if further is None:
            return root, tuple(parts[index:])
        root = further
    return root, ()


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Compare a path with a pattern, part by part; a part as it is written fits itself."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    shown = not parts[0].startswith(".")
    if pattern[0] == "**":
        return _fits(parts, pattern[1:]) or (shown and _fits(parts[1:], pattern))
    fits = parts[0] == pattern[0] or (
        (shown or pattern[0].startswith(".")) and fnmatch.fnmatchcase(parts[0], pattern[0])
    )
    return fits and _fits(parts[1:], pattern[1:])


class Names:
    """Files meant by stems, paths below a root, or patterns: "00012", "images/a/00012.png", "images/a/*"."""

    def __init__(self, names: Iterable[str]) -> None:
        forms = [same(name) for name in names]
        self._literal = set(forms)
        patterns = [fnmatch.translate(form) for form in forms if has_magic(form)]
        self._pattern = re.compile("|".join(patterns) or r"(?!)")

    def __contains__(self, relative: PurePath) -> bool:
        forms = (relative, relative.parent / relative.stem, PurePath(relative.stem))
        names = {same(form.as_posix()) for form in forms}
        return not self._literal.isdisjoint(names) or any(map(self._pattern.match, names))
