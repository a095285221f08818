"""Trackio's logger: named as its sweep, going on in the run that it was, with pictures and tables."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.runs.loggers import dotted
from hrda_lit.runs.run_names import called


class TrackioRun(Logger):
    """Log to Trackio, in a folder of this machine, or with `space_id` to a Space of the Hugging Face hub.

    Args:
        project: where runs are shown side by side.
        name: of the run; Trackio finds runs by it, so that no other should have it.
        group: of the run; None for none.
        **options: of trackio.init.
    """

    def __init__(self, project: str, name: str, group: str | None = None, **options: Any) -> None:
        super().__init__()
        self._name, self._goes_on = name, False
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
        """Return the run, begun or gone on with where it is not there yet."""
        import trackio

        if self._run is None:
            resume = "allow" if self._goes_on else "never"
            self._run = trackio.init(name=self._name, config=self._config, resume=resume, **self._options)
            self._goes_on = True
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Keep the config for the first row of numbers, which carries it; keys are those of the command line."""
        self._config = dotted(params)
        if self._run is not None:
            self._run.config.update(self._config)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self.experiment.log(dict(metrics), step)

    def show(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture."""
        import trackio

        self.experiment.log({name: trackio.Image(picture)}, step)

    def tabulate(self, name: str, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log a table."""
        import trackio

        table = trackio.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
        self.experiment.log({name: table}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is not written yet; whatever comes later goes on in the same run."""
        import trackio

        if self._run is not None:
            trackio.finish()
            self._run = None

    def kept(self) -> dict[str, Any]:
        """Return the name of the run."""
        return {"name": self._name}

    def go_on(self, step: int, kept: Mapping[str, Any]) -> None:
        """Continue the run of that name, or start one where Trackio does not know it."""
        if isinstance(name := kept.get("name"), str):
            self._name, self._goes_on = name, True


def trackio_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, **options: Any
) -> TrackioRun:
    """Build Trackio's logger.

    Args:
        name: of the experiment.
        save_dir: the run's folder; below `sweep_dir` for a job of a sweep.
        overrides: of this job, e.g. ["lambda_d=0.1", "experiment=hrda_demo"].
        sweep_dir: where Hydra keeps a sweep.
        project: where runs are shown side by side.
        **options: of trackio.init, e.g. space_id.

    Returns:
        The logger of a run called as the experiment and its folder, e.g. "hrda_demo 2026-11-24_12-00-00", or as what
        was swept and the folder of the sweep, which is its group.

    Raises:
        ValueError: if Trackio is not installed.
    """
    try:
        import trackio  # noqa: F401 - looked for before data are read
    except ModuleNotFoundError as error:
        raise ValueError(f"logger=trackio needs {error.name}; run: pip install trackio.") from error
    name, sweep = called(name, save_dir, overrides, sweep_dir)
    unique = f"{name} {sweep or Path(save_dir).resolve().name}"
    # A folder of Trackio is called so.
    return TrackioRun(project, re.sub(r"[^\w.,:=@+\- ]", "_", unique), sweep, **options)
