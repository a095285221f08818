"""Names of files as people and file systems write them: accents in two forms, wildcards that are none."""

import fnmatch
import re
import unicodedata
from collections.abc import Iterable, Sequence
from glob import escape, glob, has_magic
from pathlib import Path, PurePath
from typing import Literal

FORMS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")


def same(text: str) -> str:
    """Return the one form of a name that has several: an accent may be a sign of its own or part of its letter."""
    return unicodedata.normalize("NFC", text)


def existing(path: Path) -> Path:
    """Return the path in the form of accents that is there, or as it is."""
    if path.exists() or str(path).isascii():
        return path
    forms = (Path(unicodedata.normalize(form, str(path))) for form in FORMS)
    return next((other for other in forms if other.exists()), path)


def search(root: Path, pattern: str) -> list[Path]:
    """Find files by a glob whose leading folders are taken literally where they are there.

    So that a bracket in the name of a folder is a bracket, and accents are found in either form.

    Args:
        root: where to start; never read as a pattern.
        pattern: relative to root; `**` for any depth; hidden files fit no `*`.

    Returns:
        What fits, in no order.
    """
    base, rest = literal(root, PurePath(pattern).parts)
    if not rest:
        return [base]
    inner = "/".join(rest)
    for form in dict.fromkeys((inner, *(unicodedata.normalize(form, inner) for form in FORMS))):
        if found := glob(f"{escape(str(base))}/{form}", recursive=True):
            return [Path(name) for name in found]
    return []


def literal(root: Path, parts: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """Walk down while the parts of a pattern are there as they are written.

    Args:
        root: where to start.
        parts: of the pattern.

    Returns:
        How far it went, and the parts that are left.
    """
    for index, part in enumerate(parts):
        if not (further := existing(root / part)).exists():
            return root, tuple(parts[index:])
        root = further
    return root, ()


class Names:
    """Files meant by stems, paths below a root, or patterns of either.

    Args:
        wanted: e.g. "00012", "images/a/00012.png", "images/a/*", "*_blurred".
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        forms = [same(name) for name in wanted]
        self._literal = set(forms)
        self._pattern = re.compile("|".join(fnmatch.translate(form) for form in forms if has_magic(form)) or r"(?!)")

    def __contains__(self, relative: PurePath) -> bool:
        names = {same(relative.as_posix()), same(relative.with_suffix("").as_posix()), same(relative.stem)}
        return not self._literal.isdisjoint(names) or any(map(self._pattern.match, names))
