"""Read the frames of a video, and write some, with PyAV, which is an extra."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from hrda_lit.predicting.containers import find_damage
from hrda_lit.system.files import replacing

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".gif")
# The containers of these, so that a play list under such a name does not lead to other files.
_OPTIONS = {"format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,gif", "protocol_whitelist": "file"}
_CODECS = {"libx264": {"crf": "18", "preset": "fast"}, "mpeg4": {"qscale": "3"}}  # the first available one is used
Frame = UInt8[np.ndarray, "H W 3"]
ReadFrame = Callable[[], Frame]


class DamagedVideoError(ValueError):
    """A video has fewer frames than it should."""


def count_frames(path: Path) -> int | None:
    """Return how many frames a video claims to have; None if it does not say.

    Raises:
        ImportError: if PyAV is missing.
        ValueError: if the file has no video that can be read.
    """
    av = _pyav(path)
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            next(container.decode(stream))
            return int(stream.frames) or None
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise ValueError(f"{path} holds no video that can be read ({_reason(error)}); give another file.") from error


def frame_rate(path: Path) -> Fraction:
    """Return the frames per second of a readable video; 25 where it does not say."""
    with _open(path) as container:
        return Fraction(container.streams.video[0].average_rate or 25)


def read_frames(path: Path) -> Iterator[tuple[int, ReadFrame]]:
    """Decode a video, one frame in memory at a time, upright as its camera says.

    Yields:
        The number of a frame, from 0, and a function that returns its RGB values.

    Raises:
        DamagedVideoError: after the last frame, if the file is cut or damaged.
    """
    av = _pyav(path)
    count = _Count()
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            for packet in container.demux(*container.streams):
                ours = packet.stream.index == stream.index
                count.add_packet(packet, ours)
                for frame in stream.decode(packet) if ours else ():
                    yield count.frames, partial(_upright, frame)
                    count.frames += 1
                    count.corrupt += frame.is_corrupt
            fault = count.fault(container, stream) or find_damage(path)
            if fault is None and "mov" in container.format.name and count.frames < stream.frames:
                fault = _find_missing_samples(path, count, stream.frames)
    except av.FFmpegError as error:
        fault = _reason(error)
    if fault is not None:
        raise DamagedVideoError(
            f"{path} is damaged, {count.frames} frames could be read ({fault}); copy or convert it again, what was "
            "predicted is kept."
        )


class _Count:
    """Counts of a decoded video, compared with what the file claims."""

    def __init__(self) -> None:
        self.frames = self.packets = self.corrupt = 0
        self.start, self.shown = float("inf"), 0.0  # in seconds, of the video stream
        self.end = {"video": 0.0, "any": 0.0}  # in seconds, of the video stream and of all streams

    def add_packet(self, packet: Any, ours: bool) -> None:
        """Count a packet of any stream."""
        if not packet.size:  # a request to the decoder to return what it holds
            return
        self.packets += ours
        self.corrupt += packet.is_corrupt
        if packet.pts is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            if ours:
                self.start = min(self.start, float(packet.pts * packet.time_base))
                self.shown += float((packet.duration or 0) * packet.time_base)
                self.end["video"] = max(self.end["video"], end)
            self.end["any"] = max(self.end["any"], end)

    def fault(self, container: Any, stream: Any) -> str | None:
        """Return how the file says that something is missing; None if nothing is."""
        if self.corrupt:
            return f"{self.corrupt} parts of it are marked as corrupt"
        kind, frame = container.format.name, 1 / float(stream.average_rate or 25)
        if "avi" in kind:
            # AVI counts one empty frame more where frames are reordered.
            missing = self.frames < stream.frames - bool(stream.codec.reorder)
            return f"of {stream.frames}" if missing else None
        if "mpeg" in kind:
            gaps = self.end["video"] - self.start - self.shown
            return f"{gaps:.2f} s are missing" if gaps > 1.5 * frame or self.frames < self.packets - 1 else None
        return self._find_early_end(container, stream, frame) if "matroska" in kind else None

    def _find_early_end(self, container: Any, stream: Any, frame: float) -> str | None:
        claimed = _seconds(stream.metadata.get("DURATION", ""))
        kind = "video" if claimed else "any"
        claimed = claimed or (container.duration or 0) / 1e6
        slack = 1.5 * frame if kind == "video" else max(0.1, 1.5 * frame)
        if self.end[kind] < claimed - slack:
            return f"they end after {self.end[kind]:.2f} of {claimed:.2f} s"
        return None


def _find_missing_samples(path: Path, count: _Count, claimed: int) -> str | None:
    """Tell frames of an MP4 that are missing from those that its edit list hides."""
    if count.frames < count.packets:
        return f"of {claimed}"
    with _open(path, container_options={"ignore_editlist": "1"}) as container:
        stored = sum(packet.size > 0 for packet in container.demux(video=0))
    return f"of {claimed}" if stored < claimed else None


def _seconds(text: str) -> float:
    """Parse a tag like "00:00:03.000000000"; 0 for another text."""
    try:
        hours, minutes, seconds = map(float, text.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def _upright(frame: Any) -> Frame:
    """Return the RGB values of a frame, turned and mirrored by its display matrix in quarters."""
    pixels: Frame = frame.to_ndarray(format="rgb24")
    data = next((bytes(one) for one in frame.side_data if one.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(data, np.int32)
    if abs(int(b)) + abs(int(c)) > abs(int(a)) + abs(int(d)):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


class VideoWriter:
    """Write frames, `rate` a second, to an .mp4 file without sound, which appears once it is complete."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate = path, rate
        self._open = ExitStack()
        self._stream: Any = None
        self._container: Any = None

    def __enter__(self) -> "VideoWriter":
        return self

    def add(self, frame: Frame) -> None:
        """Write a frame; all are of one size.

        Raises:
            OSError: if it cannot be written.
        """
        av = _pyav(self.path)
        # The usual colour format has one colour for two by two pixels.
        frame = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")
        if self._stream is None:
            file = self._open.enter_context(replacing(self.path))
            self._container = self._open.enter_context(av.open(file, "w", format="mp4"))
            codec = next(name for name in _CODECS if name in av.codecs_available)
            self._stream = self._container.add_stream(codec, rate=self.rate, options=_CODECS[codec])
            self._stream.height, self._stream.width, self._stream.pix_fmt = *frame.shape[:2], "yuv420p"
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode())
        self._open.__exit__(kind, error, trace)


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
