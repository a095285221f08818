"""Files are whole or as they were."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hrda_lit.system.files import (
    SCRATCH,
    BestEffort,
    append,
    link_atomically,
    read_json,
    read_record,
    remove_stale,
    replacing,
    scratch_prefix,
    write_atomically,
    write_json,
)
from hrda_lit.training.checkpoint_io import WholeFiles


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
    with pytest.raises(OSError, match=r"/a cannot be written \(disk full\); make room") as caught:
        write_atomically(path, b"new")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to write to")
def test_a_line_that_does_not_fit_names_the_file() -> None:
    with pytest.raises(OSError, match=r"^/dev/full cannot be written \(No space left on device\); make room"):
        append(Path("/dev/full"), b"1,2\n")


def test_lines_are_added(tmp_path: Path) -> None:
    append(tmp_path / "x.csv", b"1\n")
    append(tmp_path / "x.csv", b"2\n")
    assert (tmp_path / "x.csv").read_bytes() == b"1\n2\n"


def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as a full disk; Python ignores its signal
    try:
        with pytest.raises(OSError, match=r"last\.ckpt cannot be written \(File too large\); make room") as caught:
            WholeFiles().save_checkpoint({"a": torch.zeros(1_000_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def half() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_outlives_the_first(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    best, last = tmp_path / "best", tmp_path / "last"
    last.write_bytes(b"older")
    best.write_bytes(b"one")
    link_atomically(best, last)
    write_atomically(last, b"two")
    assert (best.read_bytes(), last.read_bytes()) == (b"one", b"two")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1,"])
def test_json_that_was_cut_is_named(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.json"
    assert read_json(path) is None
    assert not caplog.messages
    path.write_bytes(content)
    assert read_json(path) is None
    assert str(path) in caplog.messages[0]


@pytest.mark.parametrize("content", [b"", b'{"x": ', b"[1]", b"null", b"\xff"])
def test_a_broken_record_is_named(tmp_path: Path, content: bytes) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    assert read_record(tmp_path / "a.json") == {"x": 1}
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is cut or no record of this library; delete it"):
        read_record(tmp_path / "a.json")


def test_what_a_run_can_do_without_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    pictures = BestEffort("pictures")
    for _ in range(2):
        with pictures.writing():
            raise OSError(28, "No space left on device", "a.png")
    assert [record.message for record in caplog.records] == [
        "pictures cannot be written, the run continues without: [Errno 28] No space left on device: 'a.png'"
    ]
    with pytest.raises(ZeroDivisionError), pictures.writing():
        _ = 1 / 0


def test_a_killed_process_leaves_a_file_that_is_removed(tmp_path: Path, dead_process: int) -> None:
    code = (
        "import os, pathlib; from hrda_lit.system.files import replacing\n"
        f"with replacing(pathlib.Path({str(tmp_path / 'a')!r})) as file: os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.glob(SCRATCH))) == 1
    remove_stale(tmp_path.rglob(SCRATCH))
    assert list(tmp_path.iterdir()) == []


def test_what_living_and_unknown_processes_write_is_kept(tmp_path: Path, dead_process: int) -> None:
    kept = [
        f"{scratch_prefix()}a.part",
        f".elsewhere-{dead_process}-b.part",
        ".notes.part",
        f".x-{os.getppid()}-c.part",
    ]
    stale = [f".{platform.node()}-{dead_process}-d.part", ".elsewhere-1-old.part"]
    for name in kept + stale:
        (tmp_path / name).write_bytes(b"half")
    os.utime(tmp_path / stale[1], (0, time.time() - 2 * 86400))
    remove_stale(tmp_path.glob(SCRATCH))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
