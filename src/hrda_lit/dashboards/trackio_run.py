"""Trackio: a folder of this machine, or with `space_id` a Space of the Hugging Face hub."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.dashboards.dashboard import Dashboard, Lines, name_run, require_package
from hrda_lit.runs.differences import flatten


class TrackioRun(Dashboard, Logger):
    """Trackio's logger; a resumed run keeps its name, by which Trackio finds it.

    Runs of a project are shown side by side, each with its own name; `options` are those of trackio.init.
    """

    def __init__(self, project: str, name: str, group: str | None = None, **options: Any) -> None:
        super().__init__()
        self._name, self._resumed = name, False
        self._options = {"project": project, "group": group, "embed": False, **options}
        self._config: dict[str, Any] = {}
        self._run: Any = None

    @property
    def name(self) -> str:
        """Return the project."""
        return str(self._options["project"])

    @property
    def version(self) -> str:
        """Return the name of the run."""
        return self._name

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return the run, started or continued on first use."""
        import trackio

        if self._run is None:
            resume = "allow" if self._resumed else "never"
            self._run = trackio.init(name=self._name, config=self._config, resume=resume, **self._options)
            self._resumed = True
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Keep the config for the first row of numbers, which carries it."""
        self._config = flatten(params)
        if self._run is not None:
            self._run.config.update(self._config)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self.experiment.log(dict(metrics), step)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""
        import trackio

        self.experiment.log({name: trackio.Image(picture)}, step)

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show a table."""
        import trackio

        self.experiment.log({name: trackio.Table(columns=lines[0], data=lines[1:])}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is not written yet; whatever comes later continues the same run."""
        import trackio

        if self._run is not None:
            trackio.finish()
            self._run = None

    def resume_state(self) -> dict[str, Any]:
        """Return the name of the run."""
        return {"name": self._name}

    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue the run of that name, or start one where Trackio does not know it."""
        if isinstance(name := state.get("name"), str):
            self._name, self._resumed = name, True


def trackio_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, **options: Any
) -> TrackioRun:
    """Build Trackio's logger, named by `name_run` from the first four arguments and its folder or sweep.

    An example is "hrda_demo 2026-11-24_12-00-00"; `options` are those of trackio.init, e.g. space_id.

    Raises:
        ValueError: if Trackio is not installed.
    """
    with require_package("trackio"):
        import trackio  # noqa: F401 - a missing one is reported before data are read
    run_name, group = name_run(name, save_dir, overrides, sweep_dir)
    unique = f"{run_name} {group or Path(save_dir).resolve().name}"
    # Trackio names a folder like this.
    return TrackioRun(project, re.sub(r"[^\w.,:=@+\- ]", "_", unique), group, **options)
