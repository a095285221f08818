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

from hrda_lit.system.files import replacing

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".gif")
# The containers of these, so that a play list under such a name does not lead to other files.
_OPTIONS = {"format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,gif", "protocol_whitelist": "file"}
_CODECS = {"libx264": {"crf": "18", "preset": "fast"}, "mpeg4": {"qscale": "3"}}  # the first that is there
ReadFrame = Callable[[], UInt8[np.ndarray, "H W 3"]]


def count_frames(path: Path) -> int | None:
    """Return how many frames a video claims to have; None if it does not say.

    Args:
        path: of the video.

    Raises:
        ImportError: if PyAV is missing.
        ValueError: if the file has no video that can be read.
    """
    av = _pyav(path)
    try:
        with av.open(str(path), options=_OPTIONS) as container:
            stream = container.streams.video[0]
            next(container.decode(stream))
            return int(stream.frames) or None
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise ValueError(f"{path} holds no video that can be read ({_reason(error)}); give another file.") from error


def frame_rate(path: Path) -> Fraction:
    """Return how many frames a second of a video has; 25 where it does not tell.

    Args:
        path: of a video that can be read.
    """
    av = _pyav(path)
    with av.open(str(path), options=_OPTIONS) as container:
        return Fraction(container.streams.video[0].average_rate or 25)


class VideoWriter:
    """Write frames to an .mp4 file without sound, which is there when it is whole and not before.

    Args:
        path: of the file; folders are made.
        rate: frames a second.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate = path, rate
        self._open = ExitStack()
        self._stream: Any = None
        self._container: Any = None

    def __enter__(self) -> "VideoWriter":
        return self

    def add(self, frame: UInt8[np.ndarray, "H W 3"]) -> None:
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


def read_frames(path: Path) -> Iterator[tuple[int, ReadFrame]]:
    """Decode a video, one frame in memory at a time.

    Args:
        path: of the video.

    Yields:
        The number of a frame, from 0, and what returns its RGB values. Where the video breaks off or cannot be decoded
        there is one last frame, whose reading raises a ValueError.
    """
    av = _pyav(path)
    index = 0
    try:
        with av.open(str(path), options=_OPTIONS) as container:
            claimed = container.streams.video[0].frames
            for frame in container.decode(video=0):
                yield index, partial(frame.to_ndarray, format="rgb24")
                index += 1
        fault = f"it claims {claimed} frames" if index < claimed else None
    except av.FFmpegError as error:
        fault = _reason(error)
    if fault is not None:
        yield index, partial(_refuse, f"{path} is broken from frame {index} on ({fault}); copy or convert it again.")


def _refuse(sentence: str) -> Any:
    raise ValueError(sentence)


def _pyav(path: Path) -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise ModuleNotFoundError(f"reading the video {path} needs PyAV; install it: pip install av") from error
    return av


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or "no frames"
