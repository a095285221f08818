"""Writing files so that nobody ever sees half of one."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target and rename, so that a reader sees the old file or the new one.

    Args:
        path: where; folders are made.
        content: what.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; see `write_atomically`."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_record(path: Path) -> dict[str, Any]:
    """Read a record that `write_json` wrote.

    Args:
        path: of the file.

    Returns:
        Its entries.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is cut, empty or something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is cut or no record of this library; delete it, or the folder that it describes.")  # noqa: TRY004
    return content
