"""The folder of a run: chosen before Hydra writes anything, filled once the run begins.

A command that is refused leaves nothing behind, and nothing of an earlier run is written over.
"""

import logging
import logging.handlers
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write

from hrda_lit.runs import claim
from hrda_lit.runs.claim import AUTO
from hrda_lit.system.files import is_first_process, write_atomically
from hrda_lit.system.paths import require_below

_INHERITED = "HRDA_LIT_RUN_DIR"  # what the first process of a run passes on to those that it starts
RECORDS = ".hydra"
_MOST_LINES = 100_000  # of the log, kept until the run begins


class RunFolder(Callback):
    """Choose and claim the folder of a single run: a new one, or with resume=auto its earlier one."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set hydra.run.dir, and leave Hydra's records and log to `open_run`."""
        if not is_first_process():
            chosen = Path(os.environ.get(_INHERITED, config.hydra.run.dir))
        else:
            chosen = choose(config)
            os.environ[_INHERITED] = str(chosen.absolute())
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.run.dir = str(chosen)
            config.hydra.output_subdir = None
            handlers = OmegaConf.select(config, "hydra.job_logging.root.handlers")
            if isinstance(handlers, ListConfig):
                config.hydra.job_logging.root.handlers = [name for name in handlers if name != "file"]
            if OmegaConf.select(config, "hydra.job_logging.handlers.file"):
                del config.hydra.job_logging.handlers["file"]

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Keep what is logged before the run begins."""
        if config.hydra.mode != RunMode.MULTIRUN and is_first_process():
            logging.getLogger().addHandler(logging.handlers.MemoryHandler(_MOST_LINES, flushLevel=sys.maxsize))


def open_run(config: DictConfig) -> None:
    """Write Hydra's records and the log so far into the folder of a single run, and log into it from now on.

    Does nothing in a job of a sweep, where Hydra has done so, and in processes but the first.
    """
    if not HydraConfig.initialized() or not is_first_process():
        return
    this = HydraConfig.get()
    root = logging.getLogger()
    kept = next((one for one in root.handlers if type(one) is logging.handlers.MemoryHandler), None)
    folder = Path(config.run_dir)
    if this.mode == RunMode.MULTIRUN or kept is None or not claim.holds_claim(folder):
        return
    records = {"config": config, "hydra": HydraConfig.instance().cfg, "overrides": this.overrides.task}
    for name, content in records.items():
        write_atomically(folder / RECORDS / f"{name}.yaml", OmegaConf.to_yaml(content).encode())
    file = logging.FileHandler(folder / f"{this.job.name}.log")
    file.setFormatter(next((one.formatter for one in root.handlers if one.formatter), None))
    root.removeHandler(kept)
    kept.setTarget(file)
    kept.close()  # writes what it holds
    root.addHandler(file)


def choose(config: DictConfig) -> Path:
    """Choose and claim a folder for a run from its config with Hydra's part."""
    if "name" in config:  # of the folder
        require_below(str(config.name), "name")
    if not config.hydra.run.dir:
        raise ValueError("hydra.run.dir is empty; name a folder, or remove it.")
    given = Path(config.hydra.run.dir)
    resume = claim.resume_mode(config.get("resume"))
    if not claim.is_timed(config.hydra.run):
        # The results of a command that never resumes are replaced.
        claim.take(given, resume if "resume" in config else AUTO)
        return given
    if resume == AUTO:
        for before in same_runs(given.parent, config):
            if claim.claim(before):
                return before
    return claim.claim_new(given)


def same_runs(parent: Path, config: DictConfig) -> Iterator[Path]:
    """Yield the folders of runs of the same config, those without a result first, the newest first.

    Where the run lies, what it resumes and who loads its images may differ.
    """
    asked = _comparable(config)
    found = sorted(parent.glob(f"*/{RECORDS}/config.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    runs = [path.parent.parent for path in found if _read(path) == asked]
    yield from sorted(runs, key=lambda run: (run / "metrics.json").is_file())


def _read(path: Path) -> Any:
    try:
        stored = OmegaConf.load(path)
    except Exception:  # whatever a damaged file brings about: it is not the config that is looked for
        return None
    return _comparable(stored) if isinstance(stored, DictConfig) else None


def _comparable(config: DictConfig) -> Any:
    plain: Any = OmegaConf.to_container(config, resolve=False)
    for key in ("hydra", "resume", "run_dir"):
        plain.pop(key, None)
    for key in ("num_workers", "val_workers", "cache"):
        (plain.get("loading") or {}).pop(key, None)
    return plain
