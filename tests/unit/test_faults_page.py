"""docs/faults.md: its numbers are those of the tests, and the tests that it and SECURITY.md name exist."""

import math
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.documented import ROOT
from tests.end_to_end import test_kills, test_resume_contents
from tests.property import (
    test_broken_archives,
    test_broken_files,
    test_hostile_records,
    test_odd_configs,
    test_odd_names,
)
from tests.unit.schema import test_every_key
from tests.unit.system import test_torch_files

PAGE = (ROOT / "docs" / "faults.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
ROW = re.compile(r"^\| (?P<what>[^|`]+) \| (?P<number>[\d,]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(?P<file>[\w/]*\.py)?(?:::(?P<test>test_\w+))?`")


def examples(module: ModuleType) -> int:
    """Count the cases of hypothesis' tests in a module."""
    count = 0
    for name, test in vars(module).items():
        if name.startswith("test_") and getattr(test, "is_hypothesis_test", False):
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
            cases = math.prod(len(mark.args[1]) for mark in marks)
            count += cases * test._hypothesis_internal_use_settings.max_examples
    return count


def values() -> int:
    """Count the values that are tried on every key, to the nearest thousand."""
    trees = [test_every_key.composed(tree)[1] for tree in test_every_key.TREES]
    leaves = sum(len(list(test_every_key.leaves(node))) for tree in trees for node in tree.values())
    return round(leaves * len(test_every_key.NONSENSE), -3)


# By the beginning of a row.
COUNTS: dict[str, Callable[[], int]] = {
    "trainings killed": lambda: test_kills.KILLS,
    "damaged checkpoints": lambda: examples(test_torch_files),
    "checkpoints of a training with one wrong entry": lambda: test_resume_contents.FEW,
    "damaged labels": lambda: examples(test_broken_files),
    "damaged archives": lambda: (
        test_broken_archives.CASES * len(test_broken_archives.DAMAGES) * len(test_broken_archives.ARCHIVES)
    ),
    "damaged and hostile records of runs": lambda: test_hostile_records.CASES,
    "odd YAML files": lambda: len(test_odd_configs.DRAWS) * test_odd_configs.CASES,
    "odd names": lambda: test_odd_names.CASES,
    f"values tried on every key of {len(test_every_key.TREES)} composed trees "
    f"({len(test_every_key.NONSENSE)} of": values,
}


@pytest.mark.slow
def test_every_number_is_counted() -> None:
    rows = {found["what"]: int(found["number"].replace(",", "")) for found in ROW.finditer(PAGE)}
    assert len(rows) == len(COUNTS), "every row of the first table has a count here"
    for start, count in COUNTS.items():
        [number] = [number for what, number in rows.items() if what.startswith(start)]
        assert number == count(), f"docs/faults.md: {start}"


def named() -> Iterator[tuple[str, str | None]]:
    """Yield file and function of every test that the pages name."""
    for line in f"{PAGE}\n{SECURITY}".splitlines():
        file = ""
        for found in NAMED.finditer(line):
            file = found["file"] or file
            if file and (found["file"] or found["test"]):
                yield file, found["test"]


@pytest.mark.parametrize(("file", "test"), sorted(set(named()), key=str))
def test_what_the_pages_name_exists(file: str, test: str | None) -> None:
    path = ROOT / "tests" / file
    assert path.is_file()
    assert test is None or f"\ndef {test}(" in path.read_text()
