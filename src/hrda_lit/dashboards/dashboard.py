"""The interface of all dashboards: loggers of Lightning that take pictures and tables too."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import yaml
from jaxtyping import Int
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.pictures.figures import decode
from hrda_lit.pictures.layers import Scene
from hrda_lit.system.errors import format_error

LONGEST = 80  # letters of a run's name, which is also that of a folder
Lines = Sequence[Sequence[Any]]  # of a table: the headings, then a line of cells for each row


class Example(NamedTuple):
    """An example of a batch or a dataset: its scenes by name, and the sheet that shows all of them."""

    scenes: Mapping[str, Scene]
    sheet: bytes  # PNG


class Dashboard:
    """A logger of Lightning that takes pictures; a back-end needs `show_picture`, the others have defaults.

    Logged names are as in docs/wandb.md; `step` is the index of the step that was done last.
    """

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
def require_package(name: str) -> Iterator[None]:
    """Turn a failed import inside into a ValueError; `name` is that of the logger and of its package."""
    try:
        yield
    except ImportError as error:  # of the package, or of one that it needs
        raise ValueError(f"logger={name} needs {error.name or error}; run: pip install {name}.") from error


def brief(error: Exception) -> str:
    """Return the beginning of the message of a dashboard's error, as a part of a sentence."""
    return format_error(error)[:300].rstrip(".")


def name_run(name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str) -> tuple[str, str | None]:
    """Name a run by its experiment, or e.g. "lambda_d=0.1" in a group called as the sweep's folder.

    Args:
        name: name of the experiment.
        save_dir: folder of the run; below `sweep_dir` for a job of a sweep.
        overrides: overrides of this job, e.g. ["lambda_d=0.1", "experiment=hrda_demo"].
        sweep_dir: folder in which Hydra keeps a sweep.

    Returns:
        The name, and the group or None.
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
