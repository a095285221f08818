"""The interface of all dashboards: loggers of Lightning that take pictures and tables too."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning as L
import yaml
from jaxtyping import Int
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.pictures.figures import decode
from hrda_lit.pictures.layers import Scene
from hrda_lit.system.errors import format_error

log = logging.getLogger(__name__)

LONGEST = 80  # letters of a run's name, which is also that of a folder
PAUSE = 600.0  # seconds until a dashboard that failed is tried again; each try may take half a minute
Lines = Sequence[Sequence[Any]]  # of a table: the headings, then a line of cells for each row


class Example(NamedTuple):
    """An example of a batch or a dataset: its scenes by name, and the sheet that shows all of them."""

    scenes: Mapping[str, Scene]
    sheet: bytes  # PNG


class Dashboard:
    """A logger that takes pictures; a class derives from this first, then from Lightning's logger.

    A back-end needs `show_picture`, the others have defaults. Logged names are as in docs/wandb.md; `step` is
    the index of the step that was done last.

    `title` and `remedy` are its name and what to do without it, for messages; a checkpoint keeps the
    `version`, by which a resumed run finds its own, under `state_key`.
    """

    title, remedy, state_key = "the dashboard", "remove its logger", "id"
    _answered, _paused_until = False, 0.0

    def send(self, show: Callable[..., object], *given: Any) -> None:
        """Call what needs the back-end; once it has answered, its failures do not end a run.

        Raises:
            ValueError: if the first call fails.
        """
        if time.monotonic() < self._paused_until:
            return
        try:
            show(*given)
            self._answered = True
        except Exception as error:  # whatever the back-end's client raises
            if not self._answered:
                raise ValueError(
                    f"{self.title} cannot start the run ({brief(error)}); mend that, or {self.remedy}."
                ) from error
            if not self._paused_until:
                log.warning(
                    "%s does not take what this run logs (%s); the run continues, metrics.csv has all "
                    "numbers, and it is tried again in %.0f minutes",
                    *(self.title, brief(error), PAUSE / 60),
                )
            self._paused_until = time.monotonic() + PAUSE

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send numbers."""
        self.send(self.show_numbers, metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send the config."""
        self.send(self.show_config, params)

    @rank_zero_only
    def save(self) -> None:
        """Write what is not written yet."""
        if self._answered:  # Lightning saves before it logs, when nothing has been reached yet
            self.send(cast(Any, super()).save)

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """End the run; whatever comes later continues it."""
        self.send(self.end, status)

    def resume_state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold for `resume`."""
        return {self.state_key: cast(Any, self).version}

    @rank_zero_only
    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue the run of that state, or start one where the back-end does not know it."""
        if isinstance(state.get(self.state_key), str):
            self.continue_run(state[self.state_key])

    def continue_run(self, version: str) -> None:
        """Log into the run of this `version` from now on."""
        raise NotImplementedError

    def show_numbers(self, metrics: Mapping[str, float], step: int) -> None:
        """Show numbers, by default as Lightning's logger does."""
        cast(Any, super()).log_metrics(metrics, step)

    def show_config(self, params: Mapping[str, Any]) -> None:
        """Show the config, by default as Lightning's logger does."""
        cast(Any, super()).log_hyperparams(params)

    def end(self, status: str) -> None:
        """End the run as "success" or "failed", by default as Lightning's logger does."""
        cast(Any, super()).finalize(status)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture under a name like val/pictures/0."""
        raise NotImplementedError

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show a table; by default it is not shown."""

    def show_examples(self, stage: str, examples: Sequence[Example], classes: Classes, step: int) -> None:
        """Show examples of "train" or "val", by default each as its sheet <stage>/pictures/<index>."""
        for index, example in enumerate(examples):
            self.show_picture(f"{stage}/pictures/{index}", decode(example.sheet), step)

    def show_confusion(self, counts: Int[Tensor, "C C"], classes: Classes, png: bytes, step: int) -> None:
        """Show pixels by label (rows) and prediction (columns), by default as picture and table."""
        self.show_picture("val/pictures/confusion_matrix", decode(png), step)
        # No class has this heading, as "label" may be.
        self.show_table("val/confusion_matrix", confusion_lines("label / prediction", counts, classes), step)


def confusion_lines(heading: str, counts: Int[Tensor, "C C"], classes: Classes) -> Lines:
    """Lay out a confusion matrix under a heading of the column of labels."""
    rows = zip(classes.names, counts.tolist(), strict=True)
    return [[heading, *classes.names], *([name, *row] for name, row in rows)]


def dashboards(trainer: L.Trainer) -> list[Dashboard]:
    """Return the dashboards among the loggers of a run; none in processes but the first."""
    loggers = trainer.loggers if trainer.is_global_zero else []
    return [logger for logger in loggers if isinstance(logger, Dashboard)]


def logged_step(trainer: L.Trainer) -> int:
    """Return the step under which Lightning logs numbers: in a fit, the index of the last one done."""
    return max(trainer.global_step - (trainer.state.fn == TrainerFn.FITTING), 0)


@contextmanager
def connecting(name: str, key: str = "", remedy: str = "") -> Iterator[None]:
    """Turn a failed import of a logger's package, or a failure of what `key` names, into a ValueError."""
    try:
        yield
    except ImportError as error:  # of the package, or of one that it needs
        raise ValueError(f"logger={name} needs {error.name or error}; run: pip install {name}.") from error
    except Exception as error:  # whatever its client raises
        raise ValueError(f"{key} cannot be used ({brief(error)}); {remedy}.") from error


def brief(error: Exception) -> str:
    """Return the beginning of the message of a dashboard's error, as a part of a sentence."""
    return format_error(error)[:300].rstrip(".")


def name_run(name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str) -> tuple[str, str | None]:
    """Return name and group of a run: its experiment, or e.g. "lambda_d=0.1" and the sweep's folder.

    A job of a sweep has its `save_dir` below the `sweep_dir`, and `overrides` like "lambda_d=0.1".
    """
    sweep, folder = Path(sweep_dir).resolve(), Path(save_dir).resolve()
    if sweep not in folder.parents:
        return name, None
    swept = ",".join(swept_overrides(overrides, sweep)) or name
    if len(swept) > LONGEST:
        swept = f"{swept[:LONGEST]}… {folder.name}"  # the number of the job keeps it unique
    return swept, sweep.name


def swept_overrides(overrides: Sequence[str], sweep_dir: Path) -> list[str]:
    """Return the overrides that differ between the jobs of a sweep; all if Hydra left no record of it."""
    try:
        record = yaml.safe_load((sweep_dir / "multirun.yaml").read_bytes())
        common = record["hydra"]["overrides"]["task"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return list(overrides)
    return [override for override in overrides if override not in common]
