"""Read and check what runs leave on disk: a record may be cut, edited by hand or of something else."""

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any, TypeVar

import yaml

from hrda_lit.data.mixed import dataset_name
from hrda_lit.methods.supervised import KINDS
from hrda_lit.system.errors import format_error
from hrda_lit.system.files import read_record
from hrda_lit.system.text import count, reason_of

SEED = "seed"
DELETED = "~"
LARGEST = 64 * 1024  # bytes of overrides.yaml; a command line is shorter
MOST_STEPS = 2**53  # that a float can count
T = TypeVar("T")


@dataclass(frozen=True)
class RunRecord:
    """One run, as its folder describes it; None stands for what is unknown."""

    number: int  # index of the job in its sweep, from 0
    overrides: dict[str, str]  # values of the command line, by key
    miou: float = math.nan  # a fraction; NaN until the run has finished
    iou: dict[str, float] = field(default_factory=dict)  # fractions by class; NaN where one does not occur
    reason: str | None = None  # why it failed
    kind: str | None = None  # one of `KINDS`, once it has finished
    scored_on: str | None = None  # dataset of the mIoU
    ended: str | None = None  # sentence about who ended it early
    folder: Path = field(default=Path(), compare=False)  # where its files are

    @property
    def state(self) -> str:
        """Return "done", "failed" or "unfinished"."""
        if not math.isnan(self.miou):
            return "done"
        return "unfinished" if self.reason is None else "failed"


def facts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kind, seed and datasets of a run, from its config: what tables over many runs need."""
    roles = ("source", "target", "val")
    sets = {role: dataset_name(config[role]) if config.get(role) else None for role in roles}
    return {"kind": config.get("kind"), "seed": config["seed"], "data": sets}


def parse(overrides: Iterable[str]) -> dict[str, str]:
    """Split overrides at their first "=", without the sign that adds a key; a deleted key is `DELETED`."""
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~"): DELETED if key.startswith("~") else value for key, _, value in pairs}


def add_result(run: RunRecord, metrics: Mapping[str, Any]) -> RunRecord:
    """Add what a metrics.json says; a mIoU of null, of a run that scored nothing, counts as unfinished.

    Raises:
        ValueError: if an entry has a wrong type or range.
    """
    iou = mapping_in(metrics, "val/iou")
    val, ended = mapping_in(metrics, "data").get("val"), metrics.get("ended")
    return replace(
        run,
        miou=rate(metrics.get("val/miou"), "val/miou"),
        iou={name: rate(value, name) for name, value in iou.items()},
        kind=kind_in(metrics),
        scored_on=val if isinstance(val, str) else None,
        ended=ended if isinstance(ended, str) else None,
    )


def kind_in(metrics: Mapping[str, Any]) -> str | None:
    """Return the kind of a run; None if it is not one of `KINDS`."""
    kind = metrics.get("kind")
    return kind if kind in KINDS else None


def swept_keys(runs: Sequence[RunRecord]) -> list[str]:
    """Return the keys in which runs differ, in the order of the command line."""
    keys = dict.fromkeys(chain.from_iterable(run.overrides for run in runs))
    return [key for key in keys if len({run.overrides.get(key) for run in runs}) > 1]


def read_overrides(folder: Path) -> dict[str, str] | None:
    """Read the command line of a run; None if it left no record.

    Raises:
        ValueError: if the record is damaged.
    """
    path = folder / ".hydra" / "overrides.yaml"
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        # Every scalar is read as text: no tag, number or date of a foreign file is constructed.
        items = yaml.load(path.read_bytes(), Loader=yaml.BaseLoader)
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, RecursionError, ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({reason_of(error)})") from error
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"{path} is {short_repr(items)}, expected a list of overrides")
    return parse(items)


def read_curve(path: Path, number: str) -> dict[int, float]:
    """Read the finite values of a logged number, e.g. "val/miou", from metrics.csv, by training step from 1.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    if not path.exists():
        raise ValueError(f"{path} is not there; curves are drawn of runs with logger=csv")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row.get(number)]
            curve = {int(row["step"]) + 1: float(row[number]) for row in rows}
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        reason = "it has no column step" if isinstance(error, KeyError) else reason_of(error)
        raise ValueError(f"{path} cannot be read ({reason})") from error
    if not all(0 <= step < MOST_STEPS for step in curve):
        raise ValueError(f"{path} has a step out of range")
    return {step: value for step, value in curve.items() if math.isfinite(value)}


@dataclass
class Results:
    """Every metrics.json below some folders, and what cannot be used."""

    metrics: dict[Path, dict[str, Any]]  # content by path, the oldest first
    damaged: list[str]  # a sentence for each record that is passed over
    unfinished: list[Path]  # folders of trainings without a metrics.json

    @classmethod
    def below(cls, folders: Iterable[Path]) -> "Results":
        """Read all records at any depth below some folders."""
        paths, unfinished, errors = list[Path](), list[Path](), list[OSError]()
        for place, names in _walk(folders, errors):
            if "metrics.json" in names:
                paths.append(place / "metrics.json")
            elif {"config.yaml", ".hydra"} <= names:  # of a training that has begun
                unfinished.append(place)
        results = cls({}, [format_error(error) for error in errors], sorted(unfinished))
        for path in sorted(paths, key=lambda path: (_age(path), path)):
            metrics = use_record(path, dict, results.damaged)
            if metrics is not None:
                results.metrics[path] = metrics
        return results

    def each(self, use: Callable[[Path, dict[str, Any]], Iterable[T]]) -> Iterator[T]:
        """Yield what a function makes of each record; what it refuses is noted as damaged."""
        for path, metrics in self.metrics.items():
            try:
                yield from use(path, metrics)
            except ValueError as error:
                self.damaged.append(_note(path, error))

    def notes(self) -> list[str]:
        """Return sentences about what tables do not show."""
        notes = list(dict.fromkeys(f"passed over: {sentence}" for sentence in self.damaged))
        if notes:
            notes.append(f"{count(len(notes), 'damaged record')} passed over")
        unscored = []
        for path, metrics in self.metrics.items():
            if "step" in metrics and "val/miou" not in metrics:
                unscored.append(path.parent)
        for folders, state in ((self.unfinished, "not finished"), (unscored, "no validation set")):
            if folders:
                verb = "has" if len(folders) == 1 else "have"
                places = ", ".join(map(str, folders))
                notes.append(f"{count(len(folders), 'run')} {verb} {state}: {places}")
        return notes


def use_record(path: Path, use: Callable[[dict[str, Any]], T], damaged: list[str]) -> T | None:
    """Apply a function to a record; None where there is none or it cannot be used, which is noted."""
    try:
        return use(read_record(path))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        damaged.append(_note(path, error))
        return None


def _note(path: Path, error: Exception) -> str:
    return str(error) if str(path.parent) in str(error) else f"{path}: {error}"


def rate(value: Any, name: str) -> float:
    """Return a number in [0, 1], or NaN for null; `name` is what errors call it."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{short_repr(name)} is {short_repr(value)}, expected a number in [0, 1]")
    return float(value)


def mapping_in(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an entry that is a mapping; an empty one if it is null or absent."""
    return typed({key: content.get(key) or {}}, key, dict)


def typed(content: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """Return an entry of a type, which is not bool."""
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        wrong = f"{short_repr(key)} is {short_repr(value)}, expected {kind.__name__}"
        raise ValueError(wrong)  # noqa: TRY004
    return value


def _walk(roots: Iterable[Path], errors: list[OSError]) -> Iterator[tuple[Path, set[str]]]:
    """Yield all folders, linked ones too, once each with the names in them; note what cannot be read."""
    seen = set()
    for root in roots:
        for place, folders, files in os.walk(root, onerror=errors.append, followlinks=True):
            real = Path(os.path.realpath(place))
            if real in seen:
                folders.clear()
            else:
                seen.add(real)
                yield real, {*folders, *files}


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
