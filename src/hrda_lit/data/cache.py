"""Results computed from files, kept on disk as long as the files and the settings stay as they are."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.data.file_tree import FileTree
from hrda_lit.system.files import BestEffort, replacing, write_atomically
from hrda_lit.system.progress import track

log = logging.getLogger(__name__)

_VERSION = 2  # raise it whenever something else is computed of the same files
_KEPT = 90 * 24 * 3600.0  # seconds for which records that nobody reads are kept

Result = TypeVar("Result")


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr((_VERSION, *parts)).encode(), digest_size=16).hexdigest()


class Records:
    """Remember what a function returns for the files of a tree, in one JSON file for its name and settings."""

    def __init__(self, folder: Path, tree: FileTree, what: str) -> None:
        self.path = folder / f"records_{_digest(what, str(tree.root.absolute()))}.json"
        self.tree, self._entries = tree, self._load()

    def __call__(
        self, files: Iterable[Path], compute: Callable[[Path], Any], parse: Callable[[Any], Result], text: str
    ) -> dict[Path, Result]:
        """Return the results by file; those of new or changed files are computed in threads.

        `compute` returns what JSON can hold; `parse` turns that into a result, and raises a TypeError or
        ValueError where it is malformed; `text` is shown with the progress.
        """
        states = {path: [*self.tree.state(path)] for path in files}
        names = {path: path.relative_to(self.tree.root).as_posix() for path in states}
        known, damaged = dict[Path, Result](), 0
        for path, state in states.items():
            try:
                before, raw = self._entries.get(names[path], (None, None))
                if before == state:
                    known[path] = parse(raw)
            except (TypeError, ValueError, ArithmeticError):
                damaged += 1
        if damaged:
            log.warning("%d entries of %s are damaged and are computed again", damaged, self.path)
        fresh = [path for path in states if path not in known]
        if fresh:
            # Threads suffice: reading and decoding release the interpreter's lock.
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for path, raw in zip(fresh, track(pool.map(compute, fresh), text, len(fresh)), strict=True):
                    self._entries[names[path]], known[path] = [states[path], raw], parse(raw)
            with BestEffort("what is known of files").writing():
                write_atomically(self.path, json.dumps(self._entries).encode())
                _forget(self.path.parent)
        return {path: known[path] for path in states}

    def _load(self) -> dict[str, Any]:
        try:
            os.utime(self.path)  # in use
            entries = json.loads(self.path.read_bytes())
        except OSError:
            return {}
        except (ValueError, RecursionError):
            entries = None
        if not isinstance(entries, dict):
            log.warning("%s is damaged and is computed again", self.path)
            return {}
        return entries


def _forget(folder: Path) -> None:
    """Remove records that were last read long ago: other settings and datasets leave files of their own."""
    for path in folder.glob("records_*.json"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()


class Arrays:
    """Keep arrays of bytes computed from files, one `.npy` file each, which are mapped into memory."""

    def __init__(self, folder: Path, tree: FileTree) -> None:
        self.folder, self.tree = folder, tree
        self._writing = BestEffort("decoded pictures")

    def path(self, file: Path, setting: object) -> Path:
        """Return where the array of a file in its present state, with a setting, is kept."""
        digest = _digest(file.relative_to(self.tree.root).as_posix(), self.tree.state(file), setting)
        return self.folder / digest[:2] / f"{digest}.npy"

    def load(self, path: Path) -> UInt8[Tensor, "H W *C"] | None:
        """Map an array into memory; None where there is none, or one that is cut or of another kind."""
        try:
            pixels = np.load(path, mmap_mode="c", allow_pickle=False)
        except Exception:  # a damaged header leads NumPy to anything, e.g. tokenize.TokenError
            return None
        fits = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
        return torch.from_numpy(pixels) if fits else None

    def save(self, path: Path, array: UInt8[Tensor, "H W *C"]) -> None:
        """Keep an array; on a full disk, nothing but the cache is lost."""
        with self._writing.writing(), replacing(path) as file:
            np.save(file, np.ascontiguousarray(array.numpy()))
