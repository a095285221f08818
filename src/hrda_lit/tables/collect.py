"""Runs from anywhere, gathered over their seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from hrda_lit.system.files import read_json
from hrda_lit.tables.jobs import SEED, Job, parse, with_result
from hrda_lit.tables.kinds import KINDS
from hrda_lit.tables.settings import Setting, settings, several_kinds

# They say where things lie, who loads them and what is written, not what is computed; a name stands for its experiment.
WORKERS = {"loading.num_workers", "loading.val_workers", "loading.cache"}
ELSEWHERE = {"experiment", "name", "data_root", "cache_dir", "run_dir", "resume", "prepare_data"} | WORKERS
SAID = ("logger", "callbacks", "data_check")
SETS = {"dataset@source", "dataset@target", "dataset@val"}
NAME, DATA = "experiment", "data"


class Collected(NamedTuple):
    """What the seeds of one setting say together, and where its finished runs lie.

    Attributes:
        setting: its values are the keys in which runs differ, also in name (`experiment`) and data sets (`data`).
        folders: of its runs.
        name: of its experiment.
        data: e.g. "gta5 → cityscapes"; empty where runs do not tell.
    """

    setting: Setting
    folders: list[Path]
    name: str
    data: str


def collect(folders: Sequence[Path]) -> dict[str, Collected]:
    """Gather every training, a folder with a metrics.json, at any depth below some folders.

    Runs of one name and the same data belong together, unless something other than their seed was set differently on
    the command line. Of runs that have the seed in common too, the newest counts.

    Args:
        folders: where to look.

    Returns:
        By a heading that says what distinguishes them, by kind and then the worst first.

    Raises:
        FileNotFoundError: if there is no finished run.
    """
    paths = metrics_below(folders)
    runs: dict[Any, Job] = {}
    for number, path in enumerate(paths):
        metrics = read_json(path)
        if not isinstance(metrics, dict) or not {"name", "val/miou", "val/iou"} <= set(metrics):
            continue  # cut, or of something else
        if "datasets" in metrics:
            continue  # of an evaluation
        run = with_result(Job(number, _asked(path.parent, metrics)), metrics)
        if run.state == "done":
            # Without a seed nobody knows whether it is the same run.
            runs[tuple(sorted(run.overrides.items())) if SEED in run.overrides else path] = run
    if not runs:
        raise FileNotFoundError(f"no metrics.json below {[str(folder) for folder in folders]}; give folders of runs")
    some = settings(list(runs.values()))
    kinds = several_kinds(some)
    some.sort(key=lambda setting: (KINDS.index(setting.kind) if kinds and setting.kind else -1, setting.miou))
    found = [
        Collected(setting, [paths[job.number].parent for job in setting.jobs], asked[NAME], asked.get(DATA, ""))
        for setting in some
        for asked in [setting.jobs[0].overrides]
    ]
    return {_heading(one, found): one for one in found}


def metrics_below(folders: Sequence[Path]) -> list[Path]:
    """Find every metrics.json at any depth, the newest last."""
    found = {path.resolve(): path for folder in folders for path in sorted(folder.rglob("metrics.json"))}
    return sorted(found.values(), key=lambda path: (path.stat().st_mtime_ns, path))


def asked_of(folder: Path) -> dict[str, str] | None:
    """Read what a run was asked for on its command line, as far as it bears on the result; None if it left no record.

    A default seed is a seed too, the empty one.
    """
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return None
    asked = {SEED: "", **parse(_as_written(path))}
    return {key: value for key, value in asked.items() if key not in ELSEWHERE and not key.startswith(SAID)}


def _asked(folder: Path, metrics: Mapping[str, Any]) -> dict[str, str]:
    asked = {NAME: str(metrics["name"])}
    if data := _data(metrics.get("data")):
        asked[DATA] = data
    asked |= {key: value for key, value in (asked_of(folder) or {}).items() if not (data and key in SETS)}
    return asked | ({SEED: str(metrics["seed"])} if "seed" in metrics else {})


def _data(sets: Any) -> str:
    """Write data sets as e.g. "gta5 → cityscapes", with the one that was scored on in brackets if that is another."""
    if not isinstance(sets, dict) or not sets.get("source"):
        return ""
    target, val = sets.get("target") or sets.get("val"), sets.get("val")
    return f"{sets['source']} → {target}" + (f" ({val})" if val not in (None, target) else "")


def _as_written(path: Path) -> list[str]:
    # Unresolved: what a run was asked for is text, and a file is not to read this environment.
    items = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return [str(item) for item in items] if isinstance(items, list) else []


def _heading(one: Collected, found: Sequence[Collected]) -> str:
    """Name a setting by its experiment and what distinguishes it from others of that name."""
    alike = [other.setting.values for other in found if other.name == one.name]
    own = {key: value for key, value in one.setting.values.items() if len({other[key] for other in alike}) > 1}
    return f"{one.name}, {Setting(own, []).label}" if any(own.values()) else one.name
