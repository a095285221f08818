"""Names that become part of a path stay below the folder they are given for."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def below(root: Path, name: str, what: str) -> Path:
    """Join a name to a folder that it must not leave.

    Args:
        root: the folder.
        name: a relative path, `/` between folders.
        what: what the error calls the name.

    Returns:
        The path.

    Raises:
        ValueError: if the name is no path below a folder, see `require_below`.
    """
    require_below(name, what)
    return root / name


def require_below(name: object, what: str) -> None:
    """Refuse a name that would leave the folder it is joined to, on any system.

    Args:
        name: a relative path, `/` between folders; may hold wildcards.
        what: what the error calls it.

    Raises:
        ValueError: if it is empty, absolute, has `..`, a drive or control characters, or is no text.
    """
    fault = _fault(name)
    if fault:
        raise ValueError(f"{what} is {name!r}, which {fault}; need a path below its folder, without '..'.")


def require_plain(name: object, what: str) -> None:
    """Refuse a name that is no single part of a path.

    Args:
        name: of a file or folder.
        what: what the error calls it.

    Raises:
        ValueError: if it has a `/` or backslash, or `require_below` refuses it.
    """
    fault = _fault(name) or ("has a separator of folders" if re.search(r"[/\\]", str(name)) else "")
    if fault:
        raise ValueError(f"{what} is {name!r}, which {fault}; need a name without '/'.")


def _fault(name: object) -> str:
    if not isinstance(name, str):
        return f"is a {type(name).__name__}, no text"
    here, there = PurePosixPath(name), PureWindowsPath(name)
    if not here.parts or not name.strip():
        return "names nothing"
    if _CONTROL.search(name):
        return "has control characters"
    if here.is_absolute() or there.drive or there.root:
        return "is absolute"
    return "leaves its folder" if ".." in here.parts + there.parts else ""
