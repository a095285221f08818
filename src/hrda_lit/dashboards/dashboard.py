"""The interface of all dashboards: loggers of Lightning that take pictures and tables too."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.data.classes import Classes
from hrda_lit.pictures.figures import decode
from hrda_lit.pictures.layers import Scene
from hrda_lit.system.text import reason_of

log = logging.getLogger(__name__)

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

    @rank_zero_only
    def send(self, show: Callable[..., None], *given: Any) -> None:
        """Call what needs the back-end, in the first process; once it has answered, its failures do not end a run.

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
                    f"{self.title} cannot start the run ({reason_of(error)}); mend that, or {self.remedy}."
                ) from error
            if not self._paused_until:
                log.warning(
                    "%s does not take what this run logs (%s); the run continues, metrics.csv has all "
                    "numbers, and it is tried again in %.0f minutes",
                    *(self.title, reason_of(error), PAUSE / 60),
                )
            self._paused_until = time.monotonic() + PAUSE

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send numbers."""
        self.send(self.show_numbers, metrics, step or 0)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send the config."""
        self.send(self.show_config, params)

    def save(self) -> None:
        """Write what is not written yet."""
        if self._answered:  # Lightning saves before it logs, when nothing has been reached yet
            self.send(cast(Any, super()).save)

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


def send_to_all(trainer: L.Trainer, show: Callable[[Dashboard, int], None]) -> None:
    """Let every dashboard of a run show something, under the step of the numbers that Lightning logs now."""
    # In a fit, the index of the step that was done last.
    step = max(trainer.global_step - (trainer.state.fn == TrainerFn.FITTING), 0)
    for logger in trainer.loggers:
        if isinstance(logger, Dashboard):
            logger.send(show, logger, step)


@contextmanager
def connecting(name: str, key: str = "", remedy: str = "") -> Iterator[None]:
    """Turn a failed import of a logger's package, or a failure of what `key` names, into a ValueError."""
    try:
        yield
    except ImportError as error:  # of the package, or of one that it needs
        raise ValueError(f"logger={name} needs {error.name or error}; run: pip install {name}.") from error
    except Exception as error:  # whatever its client raises
        raise ValueError(f"{key} cannot be used ({reason_of(error)}); {remedy}.") from error
