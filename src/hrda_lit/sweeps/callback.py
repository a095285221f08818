"""The Hydra callback that keeps the table of a sweep up to date."""

import json
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from hrda_lit.guards.files import write_json


class SweepTable(Callback):
    """Rewrite table and picture after every job, and say by the exit code whether any job failed.

    With most launchers a job runs in another process or on another machine, so all of it is read from disk.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a folder that holds another sweep, whose jobs would be overwritten."""
        path = Path(config.hydra.sweep.dir) / "command.json"
        command = list(config.hydra.overrides.task)
        before = json.loads(path.read_text()) if path.is_file() else command
        if before != command:
            sys.exit(
                f"error: {path.parent} holds the sweep of {' '.join(before)}, and this one is {' '.join(command)}; "
                "continue with the same keys, or choose another hydra.sweep.dir."
            )
        write_json(path, command)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Rewrite table and picture; does nothing for a single run."""
        if config.hydra.mode == RunMode.MULTIRUN:
            from hrda_lit.sweeps import report  # matplotlib takes a second that single runs need not wait for

            report.write(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; a failed job fails the command."""
        from hrda_lit.sweeps import report

        sweep = Path(config.hydra.sweep.dir)
        jobs = report.write(sweep)
        if not jobs:
            return
        report.show(jobs, Console())
        print(f"sweep.csv, sweep.txt and sweep.png are in {sweep}")
        if failed := [str(job.number) for job in jobs if job.state == "failed"]:
            sys.exit(
                f"error: failed {len(failed)} of {len(jobs)} jobs ({', '.join(failed)}) for the reasons above; "
                f"the same command with hydra.sweep.dir={sweep} tries them again and repeats no finished one."
            )
