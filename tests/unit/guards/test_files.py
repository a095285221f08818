"""Files are whole or as they were."""

import json
import os
from pathlib import Path

import pytest

from hrda_lit.guards.files import read_record, write_atomically, write_json


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


@pytest.mark.parametrize("content", [b"", b'{"x": ', b"[1]", b"null", b"\xff"])
def test_a_broken_record_is_named(tmp_path: Path, content: bytes) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    assert read_record(tmp_path / "a.json") == {"x": 1}
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is cut or no record of this library; delete it"):
        read_record(tmp_path / "a.json")
