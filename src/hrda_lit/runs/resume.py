"""The checkpoint that a run is resumed from."""

import errno
import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from hrda_lit.checkpoints.load import read_checkpoint
from hrda_lit.checkpoints.locate import locate
from hrda_lit.config.nodes import flatten, to_plain
from hrda_lit.module import CONFIG_KEY
from hrda_lit.runs.claim import AUTO, NEVER, resume_mode
from hrda_lit.runs.loggers import STATES
from hrda_lit.runs.state import PARTS, check_state, unfit
from hrda_lit.system.files import link_atomically, read_json
from hrda_lit.system.progress import announce
from hrda_lit.system.text import shorten
from hrda_lit.system.torch_files import require_finite_weights

log = logging.getLogger(__name__)

UNREACHABLE = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
# What these say is built into the weights and the moments of the optimiser.
FIXED = ("network", "s_T")
FREE = {"network.segmentor.lambda_d", "network.backbone.weights"}
# Places, not what is computed.
PLACES = {"run_dir", "resume", "prepare_data", "data_root", "cache_dir", "kind"}
_ABSENT = "(none)"
MOST = 5  # changes that an error lists


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
        ValueError: if it is damaged, holds no training, has done more steps than the config asks for, or the
            config changes what its weights were made for.
    """
    resume = resume_mode(config.resume)
    if resume == NEVER:
        return None
    start = _newest(Path(config.run_dir) / "checkpoints") if resume == AUTO else read(locate(resume))
    if start is not None:
        _compare(start, config)
    return start


def _compare(start: Start, config: DictConfig) -> None:
    steps = config.trainer.max_steps
    if start.step > steps:
        raise ValueError(
            f"{start.path} has done {start.step} steps, and trainer.max_steps is {steps}; raise it, or "
            "resume from an earlier checkpoint."
        )
    changed = differences(start.config, to_plain(config))
    refuse_fixed(changed, start.path)
    but = f", now with {format_changes(changed)}" if changed else ""
    log.info("resumed from %s after step %d%s", start.path, start.step, but)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare two configs, apart from places: by dotted key, the value before and now."""
    old, new = _without_places(before), _without_places(now)
    pairs = {key: (old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in {**new, **old}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def refuse_fixed(changed: Mapping[str, tuple[Any, Any]], path: object) -> None:
    """Refuse changes, as `differences` finds them, that the state of a run does not allow."""
    fixed = [key for key in changed if _is_fixed(key)]
    if fixed:
        first = format_changes({key: changed[key] for key in fixed[:MOST]})
        more = f" and {len(fixed) - MOST} more" if len(fixed) > MOST else ""
        raise ValueError(
            f"{path} cannot be resumed with {first}{more}, because its weights were made for the former; keep that, "
            "or start a new run."
        )


def format_changes(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Write changes as a part of a sentence, e.g. "optim.lr 0.1 -> 0.2"."""
    return ", ".join(f"{key} {shorten(old)} -> {shorten(new)}" for key, (old, new) in changed.items())


def _is_fixed(key: str) -> bool:
    root, _, rest = key.partition(".")
    if key in FREE:
        return False
    # Also of one of several datasets, e.g. source.sets.game.classes.names.
    classes = root in ("source", "target", "val") and {"classes", "things", "palette"} & {*rest.split(".")}
    return root in FIXED or bool(classes) or (root == "method" and ("_target_" in rest or rest == "masked"))


def _without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a config without the keys that are places, and with their names where others begin with them."""
    places = [(str(config[name]), f"<{name}>") for name in ("run_dir", "cache_dir", "data_root") if config.get(name)]
    places.sort(key=lambda place: len(place[0]), reverse=True)  # the data may lie in the cache

    def replace(value: Any) -> Any:
        if isinstance(value, list):
            return [replace(item) for item in value]
        for place, name in places if isinstance(value, str) else ():
            if value == place or value.startswith(f"{place}/"):
                return name + value.removeprefix(place)
        return value

    return {key: replace(value) for key, value in flatten(config).items() if key.partition(".")[0] not in PLACES}


def _newest(folder: Path) -> Start | None:
    """Return the newest whole checkpoint of a folder; skip damaged ones, with a warning."""
    found = [path for path in folder.glob("*.ckpt") if path.is_file()]
    # last.ckpt first: best.ckpt may be the same file under another name.
    found.sort(key=lambda path: (path.name == "last.ckpt", path.stat().st_mtime), reverse=True)
    for path in found:
        try:
            return read(path)
        except ValueError as error:
            if getattr(error.__cause__, "errno", None) in UNREACHABLE:
                raise  # it may be whole, and a run from the beginning would replace it
            log.warning("passed over: %s", error)
    if found:
        log.warning("no checkpoint in %s is whole, so the run starts from the beginning", folder)
    return None


@announce("reading the checkpoint to resume from")
def read(path: Path) -> Start:
    """Read a checkpoint to resume from.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, holds NaN or infinity, or does not hold the state of a training.
    """
    content = read_checkpoint(path)
    missing = [key for key in PARTS if key not in content]
    if missing:
        raise ValueError(
            f"{path} holds networks but no training to resume (no {', '.join(missing)}); give a checkpoint "
            "that `hrda_lit.train` wrote."
        )
    try:
        check_state(content)
    except ValueError as error:
        raise unfit(path, str(error)) from error
    require_finite_weights(content["state_dict"], path)
    return Start(path, content["global_step"], content[CONFIG_KEY], content.get(STATES, {}))


def take_over(start: Start | None, run_dir: Path) -> None:
    """Copy metrics.csv and checkpoints of the resumed run into a new folder."""
    if start is not None and start.path.parent.parent.resolve() != run_dir.resolve():
        curve, best = start.path.parent.parent / "metrics.csv", start.path.parent / "best.ckpt"
        if curve.is_file():
            shutil.copy(curve, run_dir / "metrics.csv")
        (run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
        link_atomically(start.path, run_dir / "checkpoints" / "last.ckpt")
        if best.is_file():
            link_atomically(best, run_dir / "checkpoints" / "best.ckpt")


def find_final_score(start: Start | None, config: DictConfig) -> float | None:
    """Return the mIoU of a complete run, a fraction (NaN without a validation set), else None."""
    if start is None or start.step < config.trainer.max_steps:
        return None
    if config.get("val") is None:
        return math.nan
    result = read_json(Path(config.run_dir) / "metrics.json")
    if not isinstance(result, dict) or result.get("step") != start.step:
        return None
    score = result.get("val/miou", "missing")
    if score is None:
        return math.nan
    return float(score) if isinstance(score, int | float) else None
