"""What was seen of files before, kept as long as they stay as they are."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from hrda_lit.data.archives import state
from hrda_lit.system.files import write_atomically
from hrda_lit.system.progress import counted

_VERSION = 1  # raise it whenever something else is seen of the same file
_KEPT = 90 * 24 * 3600.0  # seconds for which a file that nobody reads is kept

Findings = TypeVar("Findings")


class Cache:
    """Remember what a function returns for files, by their size and time.

    Args:
        folder: of all caches.
        what: says what function and settings the entries are of.
    """

    def __init__(self, folder: Path, what: str) -> None:
        digest = hashlib.blake2b(repr((_VERSION, what)).encode(), digest_size=12).hexdigest()
        self.path = folder / f"look_{digest}.json"
        self._entries = _load(self.path)

    def __call__(
        self, files: Iterable[Path], look: Callable[[Path], Any], parse: Callable[[Any], Findings], text: str
    ) -> dict[Path, Findings]:
        """Look at files in threads, at those that are new or changed.

        Args:
            files: which.
            look: returns what JSON knows.
            parse: turns that into what is wanted; raises a TypeError or ValueError where it is strange.
            text: beside the progress bar.

        Returns:
            What was seen, by file.
        """
        states = {path: _state(path) for path in dict.fromkeys(files)}
        known = {path: self._known(path, state, parse) for path, state in states.items()}
        if fresh := [path for path, seen in known.items() if seen is None]:
            # Threads suffice: reading and decoding release the interpreter's lock.
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                found = list(counted(pool.map(look, fresh), text, len(fresh)))
            self._entries |= {str(p.absolute()): [states[p], seen] for p, seen in zip(fresh, found, strict=True)}
            known |= {path: parse(seen) for path, seen in zip(fresh, found, strict=True)}
            self._save()
        return {path: seen for path, seen in known.items() if seen is not None}

    def _known(self, path: Path, state: list[int], parse: Callable[[Any], Findings]) -> Findings | None:
        try:
            before, seen = self._entries[str(path.absolute())]
            return parse(seen) if before == state else None
        except (KeyError, TypeError, ValueError):
            return None

    def _save(self) -> None:
        # A cache that cannot be kept costs time, nothing else.
        with suppress(OSError):
            write_atomically(self.path, json.dumps(self._entries).encode())
            _forget(self.path.parent)


def _state(path: Path) -> list[int]:
    try:
        return [*state(path)]
    except OSError:
        return []


def _forget(folder: Path) -> None:
    """Remove what was last read long ago: other settings and data sets leave files of their own."""
    for path in folder.glob("look_*.json"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()


def _load(path: Path) -> dict[str, Any]:
    """Read the entries; a file that is cut or strange counts for none and is made anew."""
    with suppress(OSError):
        os.utime(path)  # in use
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
