"""Frames of a video, and what is said without PyAV."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest

from hrda_lit.predicting.inputs import find_inputs

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)


def write(path: Path, codec: str, pixels: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_frames_come_in_order_and_unchanged(tmp_path: Path) -> None:
    inputs = find_inputs(str(write(tmp_path / "drive.avi", "ffv1", "bgr0")))
    items = list(inputs.items)
    assert inputs.total == 5
    assert [item.name for item in items] == [f"drive/00000{index}" for index in range(5)]
    for item, frame in zip(items, FRAMES, strict=True):
        assert np.array_equal(item.read(), frame)


def test_a_video_that_breaks_off_gives_its_frames_and_then_a_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.avi", "ffv1", "bgr0")
    broken = tmp_path / "broken.avi"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    *good, last = find_inputs(str(broken)).items
    assert 0 < len(good) < 5
    for item, frame in zip(good[:-1], FRAMES, strict=False):  # half of the last may be lost
        assert np.array_equal(item.read(), frame)
    with pytest.raises(ValueError, match=rf"broken\.avi is broken from frame {len(good)} on"):
        last.read()


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_what_is_no_video_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.mp4 holds no video that can be read .*; give another file"):
        find_inputs(str(tmp_path / "x.mp4"))


def test_a_list_of_other_files_is_no_video(tmp_path: Path) -> None:
    write(tmp_path / "other.avi", "ffv1", "bgr0")
    (tmp_path / "x.mp4").write_text("ffconcat version 1.0\nfile other.avi\n")
    with pytest.raises(ValueError, match=r"x\.mp4 holds no video that can be read"):
        find_inputs(str(tmp_path / "x.mp4"))


def test_without_pyav_the_pip_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.mp4").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"reading the video .*x\.mp4 needs PyAV; install it: pip install av"):
        find_inputs(str(tmp_path / "x.mp4"))
