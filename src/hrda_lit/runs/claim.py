"""One writer per run folder: a process claims it, and a new run never writes into that of another."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from hrda_lit.checkpoints.locate import locate_here
from hrda_lit.system.files import SCRATCH, is_first_process, remove_stale

NEVER, AUTO = "never", "auto"
_LOCK = ".lock"
_RESULTS = ("checkpoints/*.ckpt", "metrics.csv", "metrics.json")


class _Claim(NamedTuple):
    file: int  # the lock file, kept open
    made: list[Path]  # folders that the claim made, the deepest first


_claims: dict[Path, _Claim] = {}


def resume_mode(given: object) -> str:
    """Return "never", "auto" or a checkpoint: true is "auto", as is nothing in a job that Slurm has queued again."""
    resume = {"None": NEVER, "False": NEVER, "True": AUTO}.get(str(given), str(given))
    again = os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")
    return AUTO if resume == NEVER and again else resume


def without(words: Iterable[str], *keys: str) -> list[str]:
    """Return the words of a command line that set none of some keys, with or without `+` before them."""
    return [word for word in words if word.partition("=")[0].lstrip("+") not in keys]


def holds_run(folder: Path) -> bool:
    """Return whether a run has left results in a folder."""
    return any(next(folder.glob(pattern), None) for pattern in _RESULTS)


def take(folder: Path, resume: str) -> None:
    """Make and claim the folder of a run; only its first process does.

    Raises:
        ValueError: if another process trains there, or another run has left results there.
    """
    if not is_first_process():
        return
    if not claim(folder):
        raise ValueError(f"{folder} is where another process is training now; wait for it, or choose another folder.")
    if holds_run(folder) and not _resumes(folder, resume):
        release(folder)
        raise ValueError(
            f"{folder} holds another run; add resume=auto to continue it, or choose another hydra.run.dir."
        )


def _resumes(folder: Path, resume: str) -> bool:
    """Return whether a run is resumed in its own folder, by "auto" or by a checkpoint of that very folder."""
    if resume in (NEVER, AUTO):
        return resume == AUTO
    return folder.resolve() in Path(locate_here(resume)).resolve().parents


def claim(folder: Path) -> bool:
    """Claim a folder for this process; return False where another process has."""
    place = folder.resolve()
    if place in _claims:
        return True
    made = [path for path in (place, *place.parents) if not path.exists()]
    place.mkdir(parents=True, exist_ok=True)
    file = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    if not _lock(file):
        os.close(file)
        return False
    _claims[place] = _Claim(file, made)
    remove_stale(place.rglob(SCRATCH))
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


def is_timed(folder: DictConfig) -> bool:
    """Return whether a folder of Hydra's is named by the time, so that another name would do as well."""
    return "${now:" in str(OmegaConf.to_container(folder, resolve=False))


def holds_claim(folder: Path) -> bool:
    """Return whether this process has claimed a folder."""
    return folder.resolve() in _claims


def release(folder: Path) -> None:
    """Release a claim, if there is one, and remove the folder if it made it and nothing is inside."""
    held = _claims.pop(folder.resolve(), None)
    if held is None:
        return
    if held.made and held.made[0].is_dir() and [path.name for path in held.made[0].iterdir()] == [_LOCK]:
        (held.made[0] / _LOCK).unlink()
        with suppress(OSError):  # a folder of folders in which others lie
            for path in held.made:
                path.rmdir()
    os.close(held.file)


@contextmanager
def release_all() -> Iterator[None]:
    """Release whatever is claimed when the block ends, so that a refused command leaves no folder behind."""
    before = set(_claims)
    try:
        yield
    finally:
        for folder in set(_claims) - before:
            release(folder)


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
