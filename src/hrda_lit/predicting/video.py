"""Read the frames of a video, and write some, with PyAV, which is an extra."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from hrda_lit.predicting.damage import DecodedCounts, find_broken_structure
from hrda_lit.system.files import replacing

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".gif")
# The containers of these, so that a play list under such a name does not lead to other files.
_OPTIONS = {"format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,gif", "protocol_whitelist": "file"}
_CODECS = {"libx264": {"crf": "18", "preset": "fast"}, "mpeg4": {"qscale": "3"}}  # the first available one is used
Frame = UInt8[np.ndarray, "H W 3"]
ReadFrame = Callable[[], Frame]
AddFrame = Callable[[Frame], None]


class DamagedVideoError(ValueError):
    """A video has fewer frames than it should."""


class Video(NamedTuple):
    """A video file, the frames it claims to have (None if it does not say), and the frames per second."""

    path: Path
    frames: int | None
    rate: Fraction


def open_video(path: Path) -> Video:
    """Read the header and the first frame of a video.

    Raises:
        ImportError: if PyAV is missing.
        ValueError: if the file has no video that can be read.
    """
    av = _pyav(path)
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            next(container.decode(stream))
            return Video(path, int(stream.frames) or None, Fraction(stream.average_rate or 25))
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise ValueError(f"{path} holds no video that can be read ({_reason(error)}); give another file.") from error


def read_frames(path: Path) -> Iterator[tuple[int, ReadFrame]]:
    """Decode a video, one frame in memory at a time, upright as its camera says.

    Yields:
        The number of a frame, from 0, and a function that returns its RGB values.

    Raises:
        DamagedVideoError: after the last frame, if the file is cut or damaged.
    """
    av = _pyav(path)
    counts = DecodedCounts()
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            for packet in container.demux(*container.streams):
                of_video = packet.stream.index == stream.index
                counts.add_packet(packet, of_video)
                for frame in stream.decode(packet) if of_video else ():
                    yield counts.frames, partial(_upright, frame)
                    counts.add_frame(frame)
            fault = counts.find_damage(container, stream) or find_broken_structure(path)
            if fault is None and "mov" in container.format.name and counts.frames < stream.frames:
                fault = _find_missing_samples(path, counts, stream.frames)
    except av.FFmpegError as error:
        fault = _reason(error)
    if fault is not None:
        raise DamagedVideoError(
            f"{path} is damaged, {counts.frames} frames could be read ({fault}); copy or convert it "
            "again, what was predicted is kept."
        )


def _find_missing_samples(path: Path, counts: DecodedCounts, claimed: int) -> str | None:
    """Distinguish frames of an MP4 that are missing from those that its edit list hides."""
    if counts.frames < counts.packets:
        return f"of {claimed}"
    with _open(path, container_options={"ignore_editlist": "1"}) as container:
        stored = sum(packet.size > 0 for packet in container.demux(video=0))
    return f"of {claimed}" if stored < claimed else None


def _upright(frame: Any) -> Frame:
    """Return the RGB values of a frame, turned and mirrored by its display matrix in quarters."""
    pixels: Frame = frame.to_ndarray(format="rgb24")
    matrices = [bytes(one) for one in frame.side_data if one.type.name == "DISPLAYMATRIX"]
    if not matrices:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(matrices[0], np.int32)
    if abs(int(b)) + abs(int(c)) > abs(int(a)) + abs(int(d)):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


@contextmanager
def write_video(path: Path, rate: Fraction) -> Iterator[AddFrame]:
    """Write an .mp4 file of `rate` frames per second without sound, which appears once it is complete.

    Yields:
        A function that writes a frame; all get the size of the first one.

    Raises:
        ImportError: if PyAV has no encoder.
        OSError: if the file cannot be written.
    """
    av = _pyav(path)
    codec = next((name for name in _CODECS if name in av.codecs_available), None)
    if codec is None:
        raise ImportError(f"writing {path} needs PyAV with {' or '.join(_CODECS)}; run: pip install av")
    with ExitStack() as stack:
        opened: list[Any] = []  # container and stream, once the size of the frames is known

        def add(frame: Frame) -> None:
            # The usual colour format has one colour for two by two pixels.
            frame = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")
            if not opened:
                file = stack.enter_context(replacing(path))
                container = stack.enter_context(av.open(file, "w", format="mp4"))
                stream = container.add_stream(codec, rate=rate, options=_CODECS[codec])
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv420p"
                opened.extend([container, stream])
            container, stream = opened
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

        yield add
        if opened:
            container, stream = opened
            container.mux(stream.encode())


def _pyav(path: Path) -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise ModuleNotFoundError(f"reading the video {path} needs PyAV; install it: pip install av") from error
    return av


def _open(path: Path, **options: Any) -> Any:
    return _pyav(path).open(str(path), options=_OPTIONS, metadata_errors="replace", **options)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or "no frames"
