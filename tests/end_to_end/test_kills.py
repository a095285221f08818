"""Runs that are killed at random moments end like undisturbed ones, bit for bit; see kills.py for more of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = 2


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.thorough)])
def test_killed_runs_end_like_undisturbed_ones(kills: int, tmp_path: Path, demo_root: Path) -> None:
    places = ["--demo", str(demo_root), "--folder", str(tmp_path), "--kills", str(kills)]
    command = [sys.executable, "-m", "tests.end_to_end.kills", *places]
    parts = [
        subprocess.Popen(
            [*command, "--part", str(part), str(PARTS)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(PARTS)
    ]
    reports: dict[str, dict[str, object]] = {}
    for part in parts:
        said, _ = part.communicate(timeout=900)
        reports |= json.loads(said.splitlines()[-1])
    assert len(reports) == 6  # methods x precisions; the number of loaders changes from start to start
    assert {kind: report["wrong"] for kind, report in reports.items() if report["wrong"]} == {}
    assert sum(int(str(report["kills"])) for report in reports.values()) >= kills
