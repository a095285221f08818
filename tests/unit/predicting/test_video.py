"""Frames of a video, and what is said without PyAV."""

import random
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hrda_lit.predicting.inputs import find_inputs
from hrda_lit.predicting.video import open_video, read_frames

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


def read_all(path: Path) -> tuple[list[np.ndarray], str]:
    """Return the frames of a video, and what is said at its end."""
    frames: list[np.ndarray] = []
    try:
        open_video(path)
        frames.extend(read() for _, read in read_frames(path))
    except ValueError as error:
        return frames, str(error)
    return frames, ""


def test_a_video_that_breaks_off_gives_its_frames_and_then_a_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.avi", "ffv1", "bgr0")
    broken = tmp_path / "broken.avi"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    good, said = read_all(broken)
    assert 0 < len(good) < 5
    for found, frame in zip(good[:-1], FRAMES, strict=False):  # half of the last may be lost
        assert np.array_equal(found, frame)
    assert said.startswith(f"{broken} is damaged, {len(good)} frames could be read (")


KINDS = {
    "h264.mp4": ("libx264", "yuv420p", ""),
    "sound.mp4": ("libx264", "yuv420p", "aac"),
    "mpeg4.mov": ("mpeg4", "yuv420p", ""),
    "h264.mkv": ("libx264", "yuv420p", ""),
    "sound.mkv": ("ffv1", "yuv420p", "aac"),
    "vp9.webm": ("libvpx-vp9", "yuv420p", ""),
    "sound.webm": ("libvpx", "yuv420p", "libopus"),
    "plain.gif": ("gif", "rgb8", ""),
    "mjpeg.avi": ("mjpeg", "yuvj420p", ""),
    "sound.avi": ("mpeg4", "yuv420p", "aac"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", ""),
}
COUNT = 24  # frames of each


def film(path: Path, codec: str, pixels: str, sound: str) -> Path:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        track = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for index in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, (index, 2 * index), (0, 1)), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
            if track is not None:
                noise = rng.normal(0, 0.1, (1, 4800)).astype(np.float32)
                part = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = 48000, 4800 * index, Fraction(1, 48000)
                container.mux(track.encode(part))
        for one in container.streams:
            container.mux(one.encode())
    return path


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / request.param, *KINDS[request.param])


def damage(content: bytes, rng: random.Random) -> bytes:
    """Cut a file, overwrite or drop 200 bytes of it, or flip a bit."""
    at = rng.randrange(len(content) // 20, len(content) - 200)
    kind = rng.choice(["cut", "zero", "drop", "flip"])
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    return content[:at] + {"cut": b"", "zero": bytes(200) + content[at + 200 :], "drop": content[at + 200 :]}[kind]


def count_silent(whole: Path, folder: Path, cases: int) -> int:
    """Damage a video again and again; return how often frames were lost without a word."""
    rng, content, silent = random.Random(whole.name), whole.read_bytes(), 0
    for _ in range(cases):
        path = folder / f"damaged{whole.suffix}"
        path.write_bytes(damage(content, rng))
        frames, said = read_all(path)
        silent += len(frames) < COUNT and not said
        assert "\n" not in said
        assert not said or str(path) in said
    return silent


def test_a_whole_video_is_not_called_damaged(whole: Path) -> None:
    frames, said = read_all(whole)
    assert (len(frames), said) == (COUNT, "")


def test_a_damaged_video_says_so(whole: Path, tmp_path: Path) -> None:
    assert count_silent(whole, tmp_path, 6) == 0


@pytest.mark.thorough
def test_a_damaged_video_says_so_whatever_the_damage(whole: Path, tmp_path: Path) -> None:
    # Of a GIF two frames may melt into one, and MPEG program streams number nothing.
    assert count_silent(whole, tmp_path, 500) <= (15 if whole.suffix in (".gif", ".mpg") else 2)


QUARTERS = {  # the display matrix in a .mov file, and what it does to an image
    "right": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "left": ((0, -1, 1, 0), np.rot90),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "mirrored and turned": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("turn", QUARTERS)
def test_videos_of_phones_are_turned_upright(turn: str, tmp_path: Path) -> None:
    path = write(tmp_path / "phone.mov", "mpeg4", "yuv420p")
    [stored, *_], _ = read_all(path)
    (a, b, c, d), expected = QUARTERS[turn]
    content, one = bytearray(path.read_bytes()), 1 << 16
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    [shown, *_], said = read_all(path)
    assert not said
    assert np.array_equal(shown, expected(stored))


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
