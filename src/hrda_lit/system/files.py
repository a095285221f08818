"""Write files so that nobody ever sees half of one, and read what may have been damaged since."""

import errno
import json
import logging
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

log = logging.getLogger(__name__)

SCRATCH = ".*.part"  # a glob of what is not finished, or never will be
_OWNER = re.compile(r"\.(?P<host>.*)-(?P<process>\d+)-\w+\.part")
_DAY = 86400.0  # seconds
_RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Return whether this is the one of a run's processes that writes and reports."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces the target, synced, once all is written; on an error the old one is kept.

    Raises:
        OSError: if it cannot be written, in one sentence with the path.
    """
    part = None
    try:
        with _explain_unwritten(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=path.parent, prefix=scratch_prefix(), suffix=".part", delete=False
            ) as file:
                part = Path(file.name)
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            os.replace(part, path)
            _sync(path.parent)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


@contextmanager
def _explain_unwritten(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path} cannot be written ({error.strerror or error}); make room there or choose another place, "
            "what was there before is kept."
        ) from error


def append(path: Path, line: bytes) -> None:
    """Add a line to a file by one call; OSError with the path if the disk is full, also in the middle of the line."""
    with _explain_unwritten(path), path.open("ab", buffering=0) as file:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, and its folders, so that a reader sees the old content or the new one."""
    with replacing(path) as file:
        file.write(content)


def link_atomically(source: Path, path: Path) -> None:
    """Let `path` name the content of `source` too, by a link where the file system has links."""
    part = path.with_name(f"{scratch_prefix()}link.part")
    try:
        part.unlink(missing_ok=True)
        os.link(source, part)
        os.replace(part, path)
        _sync(path.parent)
    except OSError:
        with source.open("rb") as old, replacing(path) as new:
            shutil.copyfileobj(old, new)
    finally:
        part.unlink(missing_ok=True)


def scratch_prefix() -> str:
    """Return how the name of an unfinished file begins: host and process; it has to end in ".part"."""
    return f".{_host()}-{os.getpid()}-"


def remove_stale(found: Iterable[Path]) -> None:
    """Remove what killed processes left unfinished, of another machine once it is a day old.

    Args:
        found: files and folders, e.g. `folder.rglob(SCRATCH)`; others than `scratch_prefix` names are kept.
    """
    for path in list(found):
        owner = _OWNER.fullmatch(path.name)
        try:
            if owner is None or not _is_stale(path, owner["host"], int(owner["process"])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:  # another process was faster, or it is not ours
            log.debug("%s is kept (%s)", path, error)


def _is_stale(path: Path, host: str, process: int) -> bool:
    if host != _host() or os.name == "nt":
        return time.time() - path.stat().st_mtime > _DAY
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", platform.node())[:40] or "host"


def write_json(path: Path, content: Any) -> None:
    """Write JSON as `write_atomically` does."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_record(path: Path) -> dict[str, Any]:
    """Read the entries of a record that `write_json` wrote.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is cut, empty or something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # nested a thousand deep
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is cut or no record of this library; delete it, or the folder that it describes.")  # noqa: TRY004
    return content


def read_json(path: Path) -> Any:
    """Read JSON; None where there is no file, or one that was cut, which is named in the log."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, OSError) as error:
        log.warning("%s is damaged (%s) and is passed over", path, error)
        return None


class BestEffort:
    """Warn once where files that a run can do without, e.g. "pictures", cannot be written, and continue."""

    def __init__(self, what: str) -> None:
        self.what, self._warned = what, False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Skip what cannot be written inside; every other error is raised."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                log.warning("%s cannot be written, the run continues without: %s", self.what, error)
            self._warned = True


def _sync(folder: Path) -> None:
    # The rename itself is only on disk once the folder is; not every system can sync a folder.
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
