"""Which folder a run of the command lies in; decided before Hydra writes anything."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hrda_lit.runs import claim
from hrda_lit.runs.claim import AUTO

_INHERITED = "HRDA_LIT_RUN_DIR"  # what the first process of a run tells those that it starts


class RunFolder(Callback):
    """Choose and claim the folder of a single run: a new one, or with resume=auto that of the same run before."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set hydra.run.dir."""
        if not claim.is_first_process():
            chosen = Path(os.environ.get(_INHERITED, config.hydra.run.dir))
        else:
            try:
                chosen = choose(config)
            except (ValueError, OSError) as error:
                sys.exit(f"error: {error}")
            os.environ[_INHERITED] = str(chosen.absolute())
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.run.dir = str(chosen)


def choose(config: DictConfig) -> Path:
    """Claim a folder for a run.

    Args:
        config: the composed tree, with Hydra's part.

    Returns:
        The folder.

    Raises:
        ValueError: if a folder that was asked for is another run's.
    """
    given = Path(config.hydra.run.dir)
    resume = claim.wanted(config.get("resume"))
    if not claim.is_timed(str(OmegaConf.to_container(config.hydra.run, resolve=False))):
        claim.take(given, resume)
        return given
    if resume == AUTO:
        for before in same_runs(given.parent, config):
            if claim.claim(before):
                return before
    return claim.claim_new(given)


def same_runs(parent: Path, config: DictConfig) -> Iterator[Path]:
    """Find the runs of the same config, those without a result first, the newest first.

    Args:
        parent: where they lie.
        config: the composed tree; where the run lies, what it goes on from and who loads its images may differ.

    Yields:
        Folders.
    """
    wanted = _comparable(config)
    found = sorted(parent.glob("*/.hydra/config.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    runs = [path.parent.parent for path in found if _read(path) == wanted]
    yield from sorted(runs, key=lambda run: (run / "metrics.json").is_file())


def _read(path: Path) -> Any:
    try:
        stored = OmegaConf.load(path)
    except Exception:  # whatever a damaged file brings about: it is not the config that is looked for
        return None
    return _comparable(stored) if isinstance(stored, DictConfig) else None


def _comparable(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=False)
    loading = dict(plain.get("loading") or {})
    for key in ("num_workers", "val_workers", "cache"):
        loading.pop(key, None)
    return {
        **{key: value for key, value in plain.items() if key not in ("hydra", "resume", "run_dir")},
        "loading": loading,
    }
