"""A callback of Hydra: keep the table of a sweep up to date."""

from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from hrda_lit.runs import claim
from hrda_lit.runs.ending import quote
from hrda_lit.system.files import read_json, write_json
from hrda_lit.system.table import show


class SweepTable(Callback):
    """Rewrite table and picture after every job, and say by the exit code whether any job failed.

    With most launchers a job runs in another process or on another machine, so all of it is read from disk.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Choose and claim a folder; refuse one that holds another sweep, whose jobs would be overwritten."""
        given, timed = Path(config.hydra.sweep.dir), claim.is_timed(config.hydra.sweep)
        command = claim.without(config.hydra.overrides.task, "resume")
        resumes = timed and claim.resume_mode(config.get("resume")) == claim.AUTO
        folder = _same(given, command) if resumes else None
        folder = folder or (claim.claim_new(given) if timed else _claim(given, command))
        if config.hydra.job.chdir:
            folder = folder.absolute()
        write_json(folder / "command.json", command)
        if folder != given:
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.sweep.dir = str(folder)
                # Each job composes its own config from these.
                config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote(str(folder))}")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Rewrite table and picture; does nothing for a single run."""
        if config.hydra.mode == RunMode.MULTIRUN:
            from hrda_lit.tables import sweeps

            sweeps.write(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; a failed job fails the command."""
        from hrda_lit.tables import sweeps

        folder = Path(config.hydra.sweep.dir)
        sweep = sweeps.write(folder)
        if not sweep.jobs:
            return
        show(*sweeps.report(sweep), f"sweep.csv, sweep.txt and sweep.png are in {folder}")
        failed = [str(job.number) for job in sweep.jobs if job.state == "failed"]
        if failed:
            raise ValueError(
                f"failed {len(failed)} of {len(sweep.jobs)} jobs ({', '.join(failed)}) for the "
                f"reasons above; the same command with hydra.sweep.dir={quote(str(folder))} tries them "
                "again and repeats no finished one."
            )


def _claim(folder: Path, command: list[str]) -> Path:
    before = read_json(folder / "command.json") or command
    if before != command:
        other = " ".join(map(str, before)) if isinstance(before, list) else "something else"
        raise ValueError(
            f"{folder} holds the sweep of {other}, and this one is {' '.join(command)}; "
            "continue with the same keys, or choose another hydra.sweep.dir."
        )
    if not claim.claim(folder):
        raise ValueError(f"another sweep is running in {folder} now; wait for it, or choose another folder.")
    return folder


def _same(given: Path, command: list[str]) -> Path | None:
    """Claim the newest sweep of the same command next to a folder; None if there is none, or all are running."""
    found = [path for path in given.parent.glob("*/command.json") if read_json(path) == command]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return next((path.parent for path in found if claim.claim(path.parent)), None)
