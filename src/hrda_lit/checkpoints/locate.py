"""Locate a checkpoint: a file, the folder of a run, the newest one, or a folder or name of a hub."""

import re
from pathlib import Path

from hrda_lit.system.paths import require_below
from hrda_lit.system.text import reason_of

SCHEME = "hf://"
LATEST = "latest"
HUB_FILES = ("config.yaml", "model.safetensors", "README.md")
RUNS, SWEEPS = "outputs", "multirun"  # where runs lie, below the folder that a command is started in
LAST = "checkpoints/last.ckpt"
_NAME = re.compile(r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w.-]+))?")


def locate(given: str | Path) -> Path:
    """Return where a checkpoint lies; one of the hub is downloaded, once, and nothing of it but three files.

    Args:
        given: a file; the folder of a run, for its last.ckpt; `latest`, for the newest last.ckpt below outputs/
            and multirun/; `latest:NAME`, for that of an experiment; a folder of scripts/save_for_hub.py, or its
            weights; or `hf://user/name`, with `@revision` for one of its versions.

    Returns:
        A path, which is sure to exist for `latest` and `hf://` only.

    Raises:
        FileNotFoundError: if no run has left a checkpoint.
        ValueError: if the name is empty, or unknown to the hub, or the hub cannot be reached.
    """
    text = str(given)
    if not text.strip():
        raise ValueError("the name of the checkpoint is empty; give a file, the folder of a run, or latest.")
    if text.startswith(SCHEME):
        return _download(text)
    path = Path(text).expanduser()
    if re.fullmatch(rf"{LATEST}([:/].*)?", text) and not path.exists():
        return _latest(text[len(LATEST) + 1 :])
    for last in (path / LAST, path / "last.ckpt"):
        if last.is_file():
            return last
    if path.name == HUB_FILES[1] and (path.parent / HUB_FILES[0]).is_file():
        return path.parent
    return path


def locate_here(given: str | Path) -> str:
    """Return the path of a checkpoint as `locate` does; a name on the hub stays as it is."""
    return str(given) if str(given).startswith(SCHEME) else str(locate(given))


def _latest(name: str) -> Path:
    if name:
        require_below(name, "the experiment of checkpoint=latest")
        found = list(Path().glob(f"{RUNS}/{name}/*/{LAST}"))
    else:
        found = [*Path().glob(f"{RUNS}/**/{LAST}"), *Path().glob(f"{SWEEPS}/**/{LAST}")]
    if not found:
        known = sorted({path.parents[2].relative_to(RUNS).as_posix() for path in Path().glob(f"{RUNS}/**/{LAST}")})
        of = f" of {name} in {RUNS}/{name}" if name else f" in {RUNS} or {SWEEPS}"
        there = f"; there are runs of {', '.join(known)}" if known else ""
        raise FileNotFoundError(f"no run{of} has a checkpoint{there}; train first, or give a file.")
    return max(found, key=lambda path: path.stat().st_mtime)


def _download(address: str) -> Path:
    name = _NAME.fullmatch(address.removeprefix(SCHEME))
    if name is None:
        raise ValueError(f"{address} is not a name on the hub; write {SCHEME}user/name, or {SCHEME}user/name@revision.")
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(name["repository"], revision=name["revision"], allow_patterns=[*HUB_FILES])
    except Exception as error:  # of the network, of its client, of the hub: whatever it is, it is not there
        raise ValueError(
            f"{address} cannot be downloaded ({reason_of(error)}); check its name, or give a folder."
        ) from error
    return Path(folder)
