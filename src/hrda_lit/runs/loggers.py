"""metrics.csv, and how loggers are resumed; dashboards have a room of their own."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from hrda_lit.system.files import append, write_atomically
from hrda_lit.system.table import as_csv

STATES = "hrda_lit_loggers"  # key of a checkpoint: what loggers need to be resumed


@runtime_checkable
class Resumable(Protocol):
    """A logger whose run can be resumed."""

    def resume_state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold for it."""

    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue after `step` steps, before the first number is logged."""


def resume_states(loggers: Iterable[Logger]) -> dict[str, dict[str, Any]]:
    """Collect what the loggers of a run need to be resumed, by the names of their classes."""
    return {type(logger).__name__: logger.resume_state() for logger in loggers if isinstance(logger, Resumable)}


def resume_loggers(loggers: Iterable[Logger], step: int, states: Mapping[str, Mapping[str, Any]]) -> None:
    """Resume the loggers of a run after `step` steps, with what `resume_states` collected."""
    for logger in loggers:
        if isinstance(logger, Resumable):
            logger.resume(step, states.get(type(logger).__name__, {}))


class MetricsCSV(Logger):
    """Write <save_dir>/metrics.csv, a row per logged step, whole at every moment; resumed runs continue it."""

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
            append(self.path, _lines([row], self._columns))
        self._step = step

    def resume_state(self) -> dict[str, Any]:
        """Return nothing: the step is enough."""
        return {}

    @rank_zero_only
    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Remove the rows of steps that will be done again."""
        rows = [row for row in read_rows(self.path) if int(row["step"]) < step]
        if rows:
            self._write(rows)
            self._step = int(rows[-1]["step"])

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._columns = sorted(set(self._columns).union(*rows))
        write_atomically(self.path, as_csv([self._columns]) + _lines(rows, self._columns))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a metrics.csv; one that was cut, or has no step, is skipped."""
    if not path.is_file():
        return []
    rows = []
    # What follows a damaged line that is longer than any field is skipped too.
    with path.open(newline="", errors="replace") as file, suppress(csv.Error):
        for row in csv.DictReader(line.replace("\0", "") for line in file):
            if None not in row and None not in row.values() and str(row.get("step")).isdecimal():
                rows.append(row)
    return rows


def _lines(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    return as_csv([row.get(name, "") for name in columns] for row in rows)
