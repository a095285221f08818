"""Trackio: a folder of this machine, or with `space_id` a Space of the Hugging Face hub."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from PIL import Image

from hrda_lit.dashboards.dashboard import Dashboard, Lines, connecting, name_run
from hrda_lit.runs.differences import flatten


class TrackioRun(Dashboard, Logger):
    """Trackio's logger; a resumed run keeps its name, by which Trackio finds it.

    Runs of a project are shown side by side, each with its own name; `options` are those of trackio.init.
    """

    title, remedy, state_key = "Trackio", "remove logger.trackio.space_id and server_url", "name"

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

    def continue_run(self, version: str) -> None:
        """Continue the run of that name."""
        self._name, self._resumed = version, True

    def show_config(self, params: Mapping[str, Any]) -> None:
        """Keep the config for the first row of numbers, which carries it."""
        self._config = flatten(params)
        self.experiment.config.update(self._config)

    def show_numbers(self, metrics: Mapping[str, float], step: int) -> None:
        """Show numbers."""
        self.experiment.log(dict(metrics), step)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""
        import trackio

        self.experiment.log({name: trackio.Image(picture)}, step)

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show a table."""
        import trackio

        self.experiment.log({name: trackio.Table(columns=lines[0], data=lines[1:])}, step)

    def end(self, status: str) -> None:
        """Write what is not written yet."""
        import trackio

        if self._run is not None:
            trackio.finish()
            self._run = None


def trackio_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, **options: Any
) -> TrackioRun:
    """Build Trackio's logger, named by `name_run` from the first four arguments and its folder or sweep.

    An example is "hrda_demo 2026-11-24_12-00-00"; `options` are those of trackio.init, e.g. space_id.

    Raises:
        ValueError: if Trackio is not installed, or the hub is to be reached and does not answer.
    """
    with connecting("trackio", f"logger.trackio.space_id={options.get('space_id')}", TrackioRun.remedy):
        import trackio  # noqa: F401 - a missing one is reported before data are read

        if options.get("space_id"):
            import huggingface_hub

            huggingface_hub.whoami()
    run_name, group = name_run(name, save_dir, overrides, sweep_dir)
    unique = f"{run_name} {group or Path(save_dir).resolve().name}"
    # Trackio names a folder like this.
    return TrackioRun(project, re.sub(r"[^\w.,:=@+\- ]", "_", unique), group, **options)
