"""Whole runs of the command take seconds each: all tests of this folder are slow, and the longest begin."""

from pathlib import Path

import pytest

# Begun last, one of them would run alone at the end.
LONGEST = ("test_kills", "test_two_ranks", "test_sweeps", "test_stops", "test_tutorial", "test_dashboards")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.stem not in LONGEST)  # the others stay in their order
