"""The checkpoint that a run goes on from."""

import logging
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from hrda_lit.checkpoints.load import read_checkpoint
from hrda_lit.module import CONFIG_KEY
from hrda_lit.runs.claim import AUTO, NEVER, wanted
from hrda_lit.runs.differences import check, differences, told
from hrda_lit.runs.loggers import STATES
from hrda_lit.system.files import link_atomically, read_json
from hrda_lit.system.progress import waiting

log = logging.getLogger(__name__)

STATE = ("global_step", "loops", "optimizer_states", "lr_schedulers", "callbacks")


class Start(NamedTuple):
    """A whole checkpoint of a training run.

    Attributes:
        path: of the file.
        step: how many steps are done.
        config: that the run had.
        loggers: what its loggers need to be resumed.
    """

    path: Path
    step: int
    config: dict[str, Any]
    loggers: dict[str, dict[str, Any]]


def begin(config: DictConfig) -> Start | None:
    """Find where to start and say what differs; leftovers of a killed run are removed.

    Args:
        config: the composed tree; the folder of the run is claimed.

    Returns:
        The checkpoint; None: from the beginning.

    Raises:
        FileNotFoundError: if there is no checkpoint where one was given.
        ValueError: if it is damaged, holds no training, or does not go together with the config.
    """
    run_dir = Path(config.run_dir)
    start = find(wanted(config.resume), run_dir)
    if start is not None:
        now: Any = OmegaConf.to_container(config, resolve=True)
        changed = differences(start.config, now)
        check(changed, start.path)
        but = f", now with {told(changed)}" if changed else ""
        log.info("the run goes on from %s after step %d%s", start.path, start.step, but)
        adopt(start.path.parent, run_dir)
    for part in run_dir.rglob(".*.part"):
        part.unlink(missing_ok=True)
    return start


def find(resume: str, run_dir: Path) -> Start | None:
    """Find where to start.

    Args:
        resume: "never", "auto" (the newest whole checkpoint of the folder) or a checkpoint.
        run_dir: the folder of the run.

    Returns:
        The checkpoint; None: from the beginning.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if the checkpoint is damaged, or does not hold the state of a training.
    """
    if resume == NEVER:
        return None
    if resume == AUTO:
        return newest(run_dir / "checkpoints")
    return read(Path(resume).expanduser())


def newest(folder: Path) -> Start | None:
    """Return the newest whole checkpoint of a folder; damaged ones are named in the log and passed over."""
    found = [path for path in folder.glob("*.ckpt") if path.is_file()]
    # last.ckpt first: best.ckpt may be the same file under another name.
    for path in sorted(found, key=lambda path: (path.name == "last.ckpt", path.stat().st_mtime), reverse=True):
        try:
            return read(path)
        except (ValueError, OSError) as error:
            log.warning("passed over: %s", error)
    if found:
        log.warning("no checkpoint in %s is whole, so the run starts from the beginning", folder)
    return None


@waiting("reading the checkpoint to go on from")
def read(path: Path) -> Start:
    """Read a checkpoint to go on from.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, or does not hold the state of a training.
    """
    content = read_checkpoint(path)
    if missing := [key for key in STATE if key not in content]:
        raise ValueError(
            f"{path} holds networks but no training to go on with (no {', '.join(missing)}); give a checkpoint that "
            "`hrda_lit.train` wrote."
        )
    return Start(path, content["global_step"], content[CONFIG_KEY], content.get(STATES, {}))


def adopt(folder: Path, run_dir: Path) -> None:
    """Take metrics.csv and best.ckpt of a run into the new folder in which it goes on."""
    if folder.parent.resolve() == run_dir.resolve():
        return
    if (curve := folder.parent / "metrics.csv").is_file():
        shutil.copy(curve, run_dir / "metrics.csv")
    if (best := folder / "best.ckpt").is_file():
        (run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
        link_atomically(best, run_dir / "checkpoints" / "best.ckpt")


def finished(start: Start | None, config: DictConfig) -> float | None:
    """Return the mIoU of a run that has done all its steps and been scored, NaN if there is nothing to score.

    Returns:
        A fraction; None for a run that has still something to do.
    """
    if start is None or start.step < config.trainer.max_steps:
        return None
    if config.get("val") is None:
        return math.nan
    result = read_json(Path(config.run_dir) / "metrics.json")
    if not isinstance(result, dict) or result.get("step") != start.step or "val/miou" not in result:
        return None
    return math.nan if result["val/miou"] is None else float(result["val/miou"])
