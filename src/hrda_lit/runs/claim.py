"""Whose a folder of results is: one process writes into it, and a new run never into that of another."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEVER, AUTO = "never", "auto"
_LOCK = ".lock"
_MADE = ("checkpoints/*.ckpt", "metrics.csv", "metrics.json")
_RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")
_held: dict[Path, int] = {}  # the lock files that this process keeps open


def wanted(given: object) -> str:
    """Turn "never" (or nothing) into "auto" for a job that Slurm has put into its queue again."""
    resume = NEVER if given is None else str(given)
    again = os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")
    return AUTO if resume == NEVER and again else resume


def holds_run(folder: Path) -> bool:
    """Return whether a run has left results in a folder."""
    return any(True for pattern in _MADE for _ in folder.glob(pattern))


def is_first_process() -> bool:
    """Return whether this is the one of a run's processes that writes."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


@contextmanager
def claimed(folder: Path, resume: str) -> Iterator[None]:
    """Keep a folder for the run of this process until the block ends, or until the process does, however that is.

    Args:
        folder: of the run; made if it is not there.
        resume: "never", "auto" or a checkpoint.

    Raises:
        ValueError: if another process trains there, or another run has left results there.
    """
    if is_first_process() and not holds_claim(folder):
        take(folder, resume)
    try:
        yield
    finally:
        release(folder)


def take(folder: Path, resume: str) -> None:
    """Claim a folder, see `claimed`; it is released by `release`."""
    if not claim(folder):
        raise ValueError(f"{folder} is where another process is training now; wait for it, or choose another folder.")
    # A checkpoint of this very folder is how the run in it goes on.
    goes_on = resume == AUTO or (resume != NEVER and folder.resolve() in Path(resume).expanduser().resolve().parents)
    if holds_run(folder) and not goes_on:
        release(folder)
        raise ValueError(
            f"{folder} holds another run; add resume=auto to go on with it, or choose another hydra.run.dir."
        )


def claim(folder: Path) -> bool:
    """Claim a folder for this process; return False where another process has."""
    place = folder.resolve()
    if place in _held:
        return True
    place.mkdir(parents=True, exist_ok=True)
    file = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    if not _lock(file):
        os.close(file)
        return False
    _held[place] = file
    return True


def claim_new(given: Path) -> Path:
    """Claim a folder that holds nothing yet: the given one, or one of its name with _2, _3, ... behind it."""
    for number in range(1, 1000):
        folder = given if number == 1 else given.with_name(f"{given.name}_{number}")
        if not folder.exists() and claim(folder):
            if not holds_run(folder):
                return folder
            release(folder)
    raise ValueError(f"{given} and 998 folders like it are taken; choose another folder.")


def is_timed(pattern: str) -> bool:
    """Return whether a folder of Hydra's is named by the time, so that another name would do as well."""
    return "${now:" in pattern


def holds_claim(folder: Path) -> bool:
    """Return whether this process has claimed a folder."""
    return folder.resolve() in _held


def release(folder: Path) -> None:
    """Let others claim a folder; does nothing for one that is not claimed."""
    if (file := _held.pop(folder.resolve(), None)) is not None:
        os.close(file)


def _lock(file: int) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        # A lock of the process: forked loaders that outlive it do not keep it, as they would with flock.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
