"""Files are whole or as they were."""

import json
import os
from pathlib import Path

import pytest

from hrda_lit.guards.best_effort import BestEffort
from hrda_lit.guards.files import write_atomically, write_json


def test_json_round_trip_in_a_new_folder(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"x": [1, None]})
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"x": [1, None]}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_failed_replacement_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_what_a_run_can_do_without_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    pictures = BestEffort("pictures")
    for _ in range(2):
        with pictures.writing():
            raise OSError(28, "No space left on device", "a.png")
    assert [record.message for record in caplog.records] == [
        "pictures cannot be written, the run goes on without: [Errno 28] No space left on device: 'a.png'"
    ]
    with pytest.raises(ZeroDivisionError), pictures.writing():
        _ = 1 / 0
