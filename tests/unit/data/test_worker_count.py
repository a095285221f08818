"""The number of loader processes follows the cores."""

import os

import pytest

from hrda_lit.data.loaders import count_workers


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 2), (8, 4), (64, 4)])
def test_half_of_the_cores_load_for_a_domain(cores: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert count_workers("auto") == workers
    assert count_workers(0) == 0
    assert count_workers(12) == 12
