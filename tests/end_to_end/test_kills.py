"""Runs that are killed at random moments end like undisturbed ones, bit for bit; see kills.py for more of them."""

import json
from pathlib import Path

import pytest

from tests.commands import Command

PARTS = 2
KILLS = 6  # in all, spread over three kinds of training; see docs/faults.md
MANY = 30


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY, marks=pytest.mark.thorough)])
def test_killed_runs_end_like_undisturbed_ones(kills: int, tmp_path: Path, demo_root: Path) -> None:
    places = ["--demo", demo_root, "--folder", tmp_path, "--kills", kills]
    parts = [Command("tests.end_to_end.kills", *places, "--part", part, PARTS) for part in range(PARTS)]
    reports: dict[str, dict[str, object]] = {}
    for part in parts:
        done = part.wait(timeout=900)
        assert done.returncode == 0, done.stderr
        reports |= json.loads(done.stdout.splitlines()[-1])
    # Methods x precisions; the number of loaders changes from start to start.
    assert len(reports) == (6 if kills > KILLS else 3)
    assert {kind: report["wrong"] for kind, report in reports.items() if report["wrong"]} == {}
    assert sum(int(str(report["kills"])) for report in reports.values()) >= kills
