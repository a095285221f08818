"""Find damage in video files of formats whose damaged parts FFmpeg skips silently."""

import mmap
from collections.abc import Iterator
from pathlib import Path

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
# Elements of a Matroska segment and of a cluster; RFC 9559, section 5.
_LEVEL_1 = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, _CLUSTER, 0x1043A770, 0x1941A469, 0x1254C367, 0xEC, 0xBF}
_LEVEL_2 = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0x5854, 0xAF, 0xEC, 0xBF}


def find_damage(path: Path) -> str | None:
    """Walk through the structure of a GIF, Matroska or WebM file, which name themselves in their first bytes.

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
    at = 13 + _colours(data[10])
    while data[at] != 0x3B:  # the trailer
        if data[at] == 0x2C:  # an image: its descriptor, colours, and the width of its codes
            at += 11 + _colours(data[at + 9])
        elif data[at] == 0x21:  # an extension
            at += 2
        else:
            return f"byte {at} begins no block"
        while size := data[at]:
            at += size + 1
        at += 1
    return None


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _walk_matroska(data: mmap.mmap) -> str | None:
    for kind, start, end in _elements(data, 0, len(data), {0x1A45DFA3, _SEGMENT, 0xEC}):
        if end > len(data):
            return "it ends early"
        if kind == _SEGMENT and (fault := _walk_segment(data, start, end)):
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
