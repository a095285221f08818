"""Trackio: a folder of this machine, or with `space_id` a Space of the Hugging Face hub."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from PIL import Image

from hrda_lit.config.nodes import flatten
from hrda_lit.dashboards.dashboard import Dashboard, Lines, connecting
from hrda_lit.dashboards.run_name import name_run

with connecting("trackio"):
    import trackio


class TrackioRun(Dashboard, Logger):
    """Trackio's logger; a resumed run keeps its name, by which Trackio finds it.

    Runs of a project are shown side by side, named by `name_run` from the first four arguments and their
    folder or sweep, e.g. "hrda_demo 2026-11-24_12-00-00". `options` are those of trackio.init, e.g. space_id.

    Raises:
        ValueError: if the hub is to be reached and does not answer.
    """

    title, remedy, state_key = "Trackio", "remove logger.trackio.space_id and server_url", "name"

    def __init__(
        self, name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, **options: Any
    ) -> None:
        super().__init__()
        if options.get("space_id"):
            with connecting("trackio", f"logger.trackio.space_id={options['space_id']}", self.remedy):
                huggingface_hub.whoami()
        run_name, group = name_run(name, save_dir, overrides, sweep_dir)
        # Trackio names a folder like this.
        unique = re.sub(r"[^\w.,:=@+\- ]", "_", f"{run_name} {group or Path(save_dir).resolve().name}")
        self._init = {"project": project, "name": unique, "group": group, "resume": "never", "embed": False, **options}
        self._run: Any = None

    @property
    def name(self) -> str:
        """Return the project."""
        return str(self._init["project"])

    @property
    def version(self) -> str:
        """Return the name of the run."""
        return str(self._init["name"])

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return the run, started or continued on first use."""
        if self._run is None:
            self._run = trackio.init(**self._init)
            self._init["resume"] = "allow"
        return self._run

    def continue_run(self, version: str) -> None:
        """Continue the run of that name."""
        self._init |= {"name": version, "resume": "allow"}

    def show_config(self, params: Mapping[str, Any]) -> None:
        """Keep the config for the first row of numbers, which carries it."""
        self._init["config"] = flatten(params)
        self.experiment.config.update(self._init["config"])

    def show_numbers(self, metrics: Mapping[str, float], step: int) -> None:
        """Show numbers."""
        self.experiment.log(dict(metrics), step)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""
        self.experiment.log({name: trackio.Image(picture)}, step)

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show a table."""
        self.experiment.log({name: trackio.Table(columns=lines[0], data=lines[1:])}, step)

    def end(self, status: str) -> None:
        """Write what is not written yet."""
        if self._run is not None:
            trackio.finish()
            self._run = None
