"""The checkpoint that a run is resumed from."""

import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from hrda_lit.checkpoints.load import fitting, read_checkpoint
from hrda_lit.checkpoints.locate import locate
from hrda_lit.module import CONFIG_KEY
from hrda_lit.ops.finite import all_finite
from hrda_lit.runs.claim import AUTO, NEVER, resume_mode
from hrda_lit.runs.differences import differences, format_changes, refuse_fixed
from hrda_lit.runs.loggers import STATES
from hrda_lit.system.errors import USER_ERRORS, format_error
from hrda_lit.system.files import link_atomically, read_json
from hrda_lit.system.progress import waiting
from hrda_lit.system.torch_files import require_finite_weights

log = logging.getLogger(__name__)

# The state of a training in a checkpoint, and the type of each part.
STATE: dict[str, type] = {
    "global_step": int,
    "loops": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": dict,
}


class Start(NamedTuple):
    """A whole checkpoint of a training run."""

    path: Path
    step: int  # number of steps done
    config: dict[str, Any]
    loggers: dict[str, dict[str, Any]]  # their states


def find_start(config: DictConfig) -> Start | None:
    """Find the checkpoint to resume from, None for a run from the beginning, and log what the config changes.

    `resume` is "never", "auto" (the newest whole checkpoint of the folder), or what `locate` takes.

    Raises:
        FileNotFoundError: if there is no checkpoint where one was given.
        ValueError: if it is damaged, holds no training, or does not go together with the config.
    """
    resume = resume_mode(config.resume)
    if resume == NEVER:
        return None
    start = _newest(Path(config.run_dir) / "checkpoints") if resume == AUTO else read(locate(resume))
    if start is not None:
        now: Any = OmegaConf.to_container(config, resolve=True)
        changed = differences(start.config, now)
        refuse_fixed(changed, start.path)
        but = f", now with {format_changes(changed)}" if changed else ""
        log.info("the run goes on from %s after step %d%s", start.path, start.step, but)
    return start


def _newest(folder: Path) -> Start | None:
    """Return the newest whole checkpoint of a folder; skip damaged ones, with a warning."""
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


@waiting("reading the checkpoint to resume from")
def read(path: Path) -> Start:
    """Read a checkpoint to resume from.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, holds NaN or infinity, or does not hold the state of a training.
    """
    content = read_checkpoint(path)
    if missing := [key for key in STATE if key not in content]:
        raise ValueError(
            f"{path} holds networks but no training to go on with (no {', '.join(missing)}); give a checkpoint that "
            "`hrda_lit.train` wrote."
        )
    step, loggers = content["global_step"], content.get(STATES, {})
    for key, kind in STATE.items():
        if type(content[key]) is not kind:
            raise _unfit(path, f"{key} is a {type(content[key]).__name__}, need a {kind.__name__}")
    if step < 0:
        raise _unfit(path, f"global_step is {step}")
    if not isinstance(loggers, dict) or not all(isinstance(state, dict) for state in loggers.values()):
        raise _unfit(path, f"{STATES} is not a mapping of mappings")
    require_finite_weights(content["state_dict"], path)
    for name, value in _tensors(content["optimizer_states"], "optimizer_states"):
        if value.is_floating_point() and not all_finite(value):
            raise _unfit(path, f"{name} has NaN or infinity")
    return Start(path, step, content[CONFIG_KEY], loggers)


def _unfit(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path} does not hold the state of a training ({reason}); give another checkpoint of this run, or "
        "resume=never."
    )


def _tensors(node: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield place, node
    inside = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in inside:
        yield from _tensors(value, f"{place}.{key}")


@contextmanager
def explain_restore(trainer: L.Trainer, start: Start | None) -> Iterator[None]:
    """Name the checkpoint in whatever its content leads to, until the first step begins.

    Raises:
        ValueError: instead of any error while it is restored.
    """
    begun = _Begun()
    trainer.callbacks.append(begun)  # type: ignore[attr-defined]
    try:
        yield
    except Exception as error:
        if start is None or begun.begun:
            raise
        with fitting(start.path):
            if isinstance(error, USER_ERRORS):
                raise
            raise _unfit(start.path, f"{type(error).__name__}: {format_error(error)[:200]}") from error


class _Begun(L.Callback):
    begun = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begun = True


def take_over(start: Start | None, run_dir: Path) -> None:
    """Copy metrics.csv and best.ckpt of the resumed run into a new folder; remove unfinished files."""
    if start is not None and start.path.parent.parent.resolve() != run_dir.resolve():
        folder = start.path.parent
        if (curve := folder.parent / "metrics.csv").is_file():
            shutil.copy(curve, run_dir / "metrics.csv")
        if (best := folder / "best.ckpt").is_file():
            (run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
            link_atomically(best, run_dir / "checkpoints" / "best.ckpt")
    for part in run_dir.rglob(".*.part"):
        part.unlink(missing_ok=True)


def find_final_score(start: Start | None, config: DictConfig) -> float | None:
    """Return the mIoU of a complete run, a fraction (NaN without a validation set), else None."""
    if start is None or start.step < config.trainer.max_steps:
        return None
    if config.get("val") is None:
        return math.nan
    result = read_json(Path(config.run_dir) / "metrics.json")
    if not isinstance(result, dict) or result.get("step") != start.step or "val/miou" not in result:
        return None
    return math.nan if result["val/miou"] is None else float(result["val/miou"])
