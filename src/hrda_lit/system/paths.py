"""Keep names that become part of a path below their folder."""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from hrda_lit.system.text import shorten

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 255  # bytes of a file name, of most file systems


def below(root: Path, name: str, what: str) -> Path:
    """Join a name to a folder that it must not leave; for arguments and errors see `require_below`."""
    require_below(name, what)
    return root / name


def require_below(name: object, what: str) -> None:
    """Refuse a name that would leave the folder it is joined to, on any system.

    Args:
        name: a relative path, `/` between folders; may hold wildcards.
        what: name of it in the error.

    Raises:
        ValueError: if it is not text, empty, too long, absolute, or has `..`, a drive or control characters.
    """
    fault = _fault(name)
    if fault:
        need = "need a path below its folder, without '..'"
        raise ValueError(f"{what} is {shorten(repr(name))}, which {fault}; {need}.")


def require_plain(name: object, what: str) -> None:
    """Refuse the name of a file or folder that has a `/` or backslash, or that `require_below` refuses."""
    fault = _fault(name) or ("has a separator of folders" if re.search(r"[/\\]", str(name)) else "")
    if fault:
        raise ValueError(f"{what} is {shorten(repr(name))}, which {fault}; need a name without '/'.")


def _fault(name: object) -> str:
    if not isinstance(name, str):
        return f"is a {type(name).__name__}, no text"
    here, there = PurePosixPath(name), PureWindowsPath(name)
    if not here.parts or not name.strip():
        return "names nothing"
    if _CONTROL.search(name):
        return "has control characters"
    try:
        long = len(max(map(os.fsencode, here.parts), key=len)) > _LONGEST
    except UnicodeEncodeError:
        return "has half of a character"
    if long:
        return f"is longer than {_LONGEST} bytes"
    if here.is_absolute() or there.drive or there.root:
        return "is absolute"
    return "leaves its folder" if ".." in here.parts + there.parts else ""
