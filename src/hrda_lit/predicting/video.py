"""Read the frames of a video with PyAV, which is an extra."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".gif")
# The containers of these, so that a play list under such a name does not lead to other files.
_OPTIONS = {"format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,gif", "protocol_whitelist": "file"}
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
