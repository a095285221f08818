"""Runs from anywhere, gathered over their seeds."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from hrda_lit.guards.files import read_json
from hrda_lit.sweeps.jobs import Job, parse, with_result
from hrda_lit.sweeps.settings import Setting, settings

# They say where things lie and who loads them, not what is computed; a name stands for its experiment.
WORKERS = {"loading.num_workers", "loading.val_workers", "loading.cache"}
ELSEWHERE = {"experiment", "data_root", "cache_dir", "run_dir", "ckpt_path", "resume"} | WORKERS


class Collected(NamedTuple):
    """What the seeds of one setting say together, and where its finished runs lie."""

    setting: Setting
    folders: list[Path]


def collect(folders: Sequence[Path]) -> dict[str, Collected]:
    """Gather every run, a folder with a metrics.json, at any depth below some folders.

    Runs of one name belong together, unless something other than their seed was set differently on the command line.

    Args:
        folders: where to look.

    Returns:
        By a heading that says what distinguishes them, the worst first.

    Raises:
        FileNotFoundError: if there is no finished run.
    """
    paths = sorted({path for folder in folders for path in folder.rglob("metrics.json")})
    runs: dict[str, list[Job]] = defaultdict(list)
    for number, path in enumerate(paths):
        metrics = read_json(path)
        if not isinstance(metrics, dict) or not {"name", "val/miou", "val/iou"} <= set(metrics):
            continue  # cut, or of something else
        run = with_result(Job(number, _overrides(path.parent)), metrics)
        if run.state == "done":
            runs[metrics["name"]].append(run)
    if not runs:
        raise FileNotFoundError(f"no metrics.json below {[str(folder) for folder in folders]}; give folders of runs")
    found = {
        _heading(name, setting): Collected(setting, [paths[job.number].parent for job in setting.jobs])
        for name, jobs in runs.items()
        for setting in settings(jobs)
    }
    return dict(sorted(found.items(), key=lambda item: item[1].setting.miou))


def _overrides(folder: Path) -> dict[str, str]:
    """Read what a run was asked for on its command line, as far as it bears on the result."""
    path = folder / ".hydra" / "overrides.yaml"
    asked = parse(_as_written(path)) if path.is_file() else {}
    return {key: value for key, value in asked.items() if key not in ELSEWHERE}


def _as_written(path: Path) -> list[str]:
    # Unresolved: what a run was asked for is text, and a file is not to read this environment.
    items = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return [str(item) for item in items] if isinstance(items, list) else []


def _heading(name: str, setting: Setting) -> str:
    return f"{name}, {setting.label}" if setting.values else name
