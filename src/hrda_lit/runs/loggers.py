"""What loggers can do here, and those for metrics.csv and TensorBoard; W&B, MLflow and Trackio have their own files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.system.files import write_atomically

KEPT = "hrda_lit_loggers"  # in a checkpoint: what loggers need to go on, by the names of their classes


@runtime_checkable
class GoesOn(Protocol):
    """A logger that can be continued."""

    def kept(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold for it."""

    def go_on(self, step: int, kept: Mapping[str, Any]) -> None:
        """Continue after `step` steps, before the first number is logged."""


@runtime_checkable
class Shows(Protocol):
    """A logger that takes pictures."""

    def show(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture under a name like val/pictures/0."""


@runtime_checkable
class Tabulates(Protocol):
    """A logger that takes tables."""

    def tabulate(self, name: str, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log a table, at least one row; all rows have the columns of the first."""


def dotted(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a config by their keys as on the command line, e.g. "optim.lr"."""
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values


def kept_of(loggers: Iterable[Logger]) -> dict[str, dict[str, Any]]:
    """Collect what the loggers of a run need to go on."""
    return {type(logger).__name__: logger.kept() for logger in loggers if isinstance(logger, GoesOn)}


def go_on(loggers: Iterable[Logger], step: int, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Let the loggers of a run go on after `step` steps, with what `kept_of` collected."""
    for logger in loggers:
        if isinstance(logger, GoesOn):
            logger.go_on(step, kept.get(type(logger).__name__, {}))


class TensorBoard(TensorBoardLogger):
    """TensorBoard's logger; what an interrupted run logged after its checkpoint is no longer shown."""

    def kept(self) -> dict[str, Any]:
        """Return nothing: the folder is enough."""
        return {}

    def go_on(self, step: int, kept: Mapping[str, Any]) -> None:
        """Continue after `step` steps."""
        self._kwargs["purge_step"] = step

    def show(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture."""
        self.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")


class MetricsCSV(Logger):
    """Write one row per logged step, whole at every moment, and go on where a checkpoint was written.

    Args:
        save_dir: the run's folder; the file is <save_dir>/metrics.csv.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self._columns: list[str] = []
        self._step: int | None = None

    @property
    def name(self) -> str:
        """Return nothing; the file has one place."""
        return ""

    @property
    def version(self) -> str:
        """Return nothing; the file has one place."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leave them to config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add to the row of the step, the newest one or a new one."""
        assert step is not None, "Lightning gives the step"
        row = {name: str(float(value) if hasattr(value, "item") else value) for name, value in metrics.items()}
        row["step"] = str(step)
        if step == self._step or not set(row) <= set(self._columns):
            rows = read_rows(self.path) if self._columns else []
            merged = {**rows.pop(), **row} if rows and step == self._step else row
            self._write([*rows, merged])
        else:
            # One call writes the whole line.
            with self.path.open("ab", buffering=0) as file:
                file.write(as_csv([row], self._columns))
        self._step = step

    def kept(self) -> dict[str, Any]:
        """Return nothing: the step is enough."""
        return {}

    @rank_zero_only
    def go_on(self, step: int, kept: Mapping[str, Any]) -> None:
        """Leave out rows of steps that will be done again."""
        rows = [row for row in read_rows(self.path) if int(row["step"]) < step]
        if rows:
            self._write(rows)
            self._step = int(rows[-1]["step"])

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._columns = sorted({*self._columns, *(name for row in rows for name in row)})
        head = as_csv([{name: name for name in self._columns}], self._columns)
        write_atomically(self.path, head + as_csv(rows, self._columns))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a metrics.csv; one that was cut, or has no step, is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", errors="replace") as file:
        rows = list(csv.DictReader(line.replace("\0", "") for line in file))
    return [row for row in rows if _is_whole(row)]


def as_csv(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    """Write rows without a head."""
    page = io.StringIO()
    csv.DictWriter(page, columns, lineterminator="\n").writerows(rows)
    return page.getvalue().encode()


def _is_whole(row: Mapping[Any, Any]) -> bool:
    return None not in row and None not in row.values() and str(row.get("step")).isdecimal()
