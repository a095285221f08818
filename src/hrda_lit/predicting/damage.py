"""Find damage in a video file, by counts of what was decoded and by the structure of its container."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
# Elements of a Matroska segment and of a cluster; RFC 9559, section 5.
_LEVEL_1 = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, _CLUSTER, 0x1043A770, 0x1941A469, 0x1254C367, 0xEC, 0xBF}
_LEVEL_2 = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0x5854, 0xAF, 0xEC, 0xBF}


class DecodedCounts:
    """Counts of a decoded video, compared with what the file claims."""

    def __init__(self) -> None:
        self.frames = self.packets = self.corrupt = 0
        self.start, self.shown = float("inf"), 0.0  # in seconds, of the video stream
        self.end = {"video": 0.0, "any": 0.0}  # in seconds, of the video stream and of all streams

    def add_packet(self, packet: Any, of_video: bool) -> None:
        """Count a packet of any stream."""
        if not packet.size:  # a request to the decoder to return what it holds
            return
        self.packets += of_video
        self.corrupt += packet.is_corrupt
        if packet.pts is None:
            return
        start, duration = (float((value or 0) * packet.time_base) for value in (packet.pts, packet.duration))
        if of_video:
            self.start = min(self.start, start)
            self.shown += duration
            self.end["video"] = max(self.end["video"], start + duration)
        self.end["any"] = max(self.end["any"], start + duration)

    def add_frame(self, frame: Any) -> None:
        """Count a frame of the video."""
        self.frames += 1
        self.corrupt += frame.is_corrupt

    def find_damage(self, container: Any, stream: Any) -> str | None:
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
            missing = gaps > 1.5 * frame or self.frames < self.packets - 1
            return f"{gaps:.2f} s are missing" if missing else None
        return self._find_early_end(container, stream, frame) if "matroska" in kind else None

    def _find_early_end(self, container: Any, stream: Any, frame: float) -> str | None:
        claimed = _seconds(stream.metadata.get("DURATION", ""))
        kind = "video" if claimed else "any"
        claimed = claimed or (container.duration or 0) / 1e6
        slack = 1.5 * frame if kind == "video" else max(0.1, 1.5 * frame)
        if self.end[kind] < claimed - slack:
            return f"they end after {self.end[kind]:.2f} of {claimed:.2f} s"
        return None


def _seconds(text: str) -> float:
    """Parse a tag like "00:00:03.000000000"; 0 for another text."""
    try:
        hours, minutes, seconds = map(float, text.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def find_broken_structure(path: Path) -> str | None:
    """Walk through a GIF, Matroska or WebM file, whose damaged parts FFmpeg skips silently.

    Returns:
        The damage, as a part of a sentence; None for a whole file or one of another format.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            if data[:4] == b"GIF8":
                return _walk_gif(data)
            if data[:4] == b"\x1a\x45\xdf\xa3":
                return _walk_matroska(data)
        except IndexError:
            return "it ends early"
    return None


def _walk_gif(data: mmap.mmap) -> str | None:
    at = 13 + _palette_size(data[10])
    while data[at] != 0x3B:  # the trailer
        if data[at] == 0x2C:  # an image: its descriptor, colours, and the width of its codes
            at += 11 + _palette_size(data[at + 9])
        elif data[at] == 0x21:  # an extension
            at += 2
        else:
            return f"byte {at} begins no block"
        while data[at]:
            at += data[at] + 1
        at += 1
    return None


def _palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _walk_matroska(data: mmap.mmap) -> str | None:
    for kind, start, end in _elements(data, 0, len(data), {0x1A45DFA3, _SEGMENT, 0xEC}):
        if end > len(data):
            return "it ends early"
        fault = _walk_segment(data, start, end) if kind == _SEGMENT else None
        if fault:
            return fault
    return None


def _walk_segment(data: mmap.mmap, start: int, stop: int) -> str | None:
    # A stream may leave the size of a cluster open: it ends where the next element of its level begins.
    for _, begin, end in _elements(data, start, stop, _LEVEL_1 | _LEVEL_2):
        if end < 0:
            return f"byte {begin} begins no element"
        if end > stop:
            return f"the element at byte {begin} is longer than the file"
    return None


def _elements(data: mmap.mmap, start: int, stop: int, known: set[int]) -> Iterator[tuple[int, int, int]]:
    """Yield kind, first byte and end (-1 if unknown) of elements, clusters followed by their own."""
    at = start
    while at < stop:
        kind, body = _number(data, at, keep_marker=True)
        if kind not in known:
            yield kind, at, -1
            return
        size, begin = _number(data, body)
        unknown = size == (1 << 7 * (begin - body)) - 1
        end = stop if unknown else begin + size
        yield kind, begin, end
        at = begin if kind == _CLUSTER else end


def _number(data: mmap.mmap, at: int, keep_marker: bool = False) -> tuple[int, int]:
    """Read a number of variable length; return it and where it ends."""
    first = data[at]
    length = 9 - first.bit_length()
    if not first or at + length > len(data):
        raise IndexError
    value = int.from_bytes(data[at : at + length], "big")
    return value if keep_marker else value & (1 << 7 * length) - 1, at + length
