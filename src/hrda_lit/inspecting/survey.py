"""Survey the files of one split: their headers, or every pixel."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Int64
from PIL import ImageFile
from torch import Tensor

from hrda_lit.data.cache import Records
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.folder import DataSplit, Sample, spread
from hrda_lit.data.images import NUMPY, count_frames, decode, deep_range, open_picture
from hrda_lit.data.label_files import as_ids, read_array
from hrda_lit.data.pixels import is_deep, upright_size

_PNG_END = b"IEND\xaeB\x60\x82"  # the last chunk's name and checksum
_JPEG_END = b"\xff\xd9"
# Chunks and texts that may stand behind the pixels of a PNG and turn it.
_LATE = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp", b"</x:xmpmeta>")
_TAIL = 1 << 14  # bytes in which an end is looked for, because some programs write more behind it
_DEEP = 16  # images of 16 bits that are decoded for the range of their values


class Header(NamedTuple):
    """Size of an upright picture in pixels, Pillow's mode, the fault of its file, and its frames."""

    height: int
    width: int
    mode: str
    fault: str = ""
    frames: int = 1

    @property
    def is_deep(self) -> bool:
        """Return whether the file holds more than 8 bits per channel."""
        return self.mode.startswith("I") or self.mode.endswith("16")


@dataclass(frozen=True)
class Survey:
    """Everything known of a split."""

    split: DataSplit
    samples: list[Sample]  # the usable ones
    headers: dict[Path, Header]
    # Pixels by id of each label that was read; the fault in words where it cannot be read.
    ids: dict[Path, Counter[int] | str] = field(default_factory=dict)
    excluded: tuple[Path, ...] = ()  # broken images
    unused: tuple[Path, ...] = ()  # files beside the images that are neither images nor labels
    deep: tuple[tuple[int, float], ...] = ()  # (largest, mean) value of some images of more than 8 bits

    @cached_property
    def raw(self) -> Counter[int]:
        """Return the pixels of each id, as files hold them, of all labels that were read."""
        used = {sample.label for sample in self.samples}
        total: Counter[int] = Counter()
        for path, ids in self.ids.items():
            if path in used and not isinstance(ids, str):
                total.update(ids)
        return total

    @property
    def pixels(self) -> Int64[Tensor, "256"]:
        """Return the pixels of each train id."""
        return self.split.dataset.labels.train_counts(self.raw)

    @property
    def present(self) -> list[str]:
        """Return the names of the classes that have pixels."""
        names = self.split.dataset.classes.names
        return [name for name, number in zip(names, self.pixels.tolist(), strict=False) if number]

    def without(self, images: Iterable[Path]) -> "Survey":
        """Exclude images, here and whenever the dataset is listed."""
        excluded = tuple(images)
        self.split.dataset.exclude(excluded)
        kept = [sample for sample in self.samples if sample.image not in set(excluded)]
        return replace(self, samples=kept, excluded=excluded)

    def with_ids(self, samples: Sequence[Sample], cache_dir: Path) -> "Survey":
        """Count the ids of the labels of some samples whose headers are whole."""
        files = [path for _, path in samples if path in self.headers and not self.headers[path].fault]
        text = f"reading labels of {self.split}"
        return replace(self, ids={**self.ids, **self.split.dataset.labels.count_files(files, cache_dir, text)})

    def with_all_ids(self, cache_dir: Path) -> "Survey":
        """Count the ids of the labels of all samples."""
        return self.with_ids(self.samples, cache_dir)


def survey_split(split: DataSplit, cache_dir: Path, every: bool) -> Survey:
    """Read the header of every file of a split; with `every`, decode images to the last pixel."""
    dataset, tree = split.dataset, split.dataset.tree
    samples = dataset.pairs(split.split, split.labelled)
    files = [path for sample in samples for path in sample if path is not None]

    records = Records(cache_dir, tree, "decoded with frames" if every else "headers with frames")
    read = partial(read_header, tree=tree, every=every)
    headers = records(files, read, lambda raw: Header(*raw), f"reading {split}")
    deep = [path for path, _ in samples if headers[path].is_deep and not headers[path].fault]

    def measure(path: Path) -> tuple[int, float]:
        return deep_range(path, tree.archived(path))

    ranges = Records(cache_dir, tree, "ranges")(spread(deep, _DEEP), measure, _parse_range, str(split))
    unused = tuple(dataset.list_unused(split.split))
    return Survey(split, samples, headers, unused=unused, deep=tuple(ranges.values()))


def _parse_range(raw: Sequence[float]) -> tuple[int, float]:
    largest, mean = raw
    return int(largest), float(mean)


def read_header(path: Path, tree: FileTree, every: bool = False) -> Header:
    """Read the header of a picture and check the end of its file; with `every`, decode it to the last pixel.

    Formats other than PNG and JPEG are always decoded, because their ends say nothing.
    """
    try:
        content = path.read_bytes() if every and path.is_file() else tree.archived(path)
        start, tail = _read_ends(path, content)
        if start == NUMPY:
            height, width = as_ids(read_array(path.read_bytes() if content is None else content)).shape
            return Header(height, width, "NumPy")
        if every and content is not None:
            return decode(path, lambda file: _describe(file, tail, every), content)
        return open_picture(path, lambda file: _describe(file, tail, every), content)
    except (ValueError, OSError) as error:
        return Header(0, 0, "", str(error))


def _describe(file: ImageFile.ImageFile, tail: bytes, every: bool) -> Header:
    mode = f"{file.mode};16" if is_deep(file) and not file.mode.startswith("I") else file.mode
    if not _ends_whole(tail, file.format) or every or any(word in tail for word in _LATE):
        file.load()
    return Header(*upright_size(file), mode, frames=count_frames(file))


def _read_ends(path: Path, content: bytes | None) -> tuple[bytes, bytes]:
    """Return the first and the last bytes of a file; none if there is no file."""
    if content is not None or not path.is_file():
        content = content or b""
        return content[: len(NUMPY)], content[-_TAIL:]
    with path.open("rb") as file:
        start, length = file.read(len(NUMPY)), file.seek(0, os.SEEK_END)
        file.seek(max(0, length - _TAIL))
        return start, file.read()


def _ends_whole(tail: bytes, kind: str | None) -> bool:
    """Return whether the end of a file is there; False where only decoding shows it."""
    if kind == "PNG":
        # Pillow forgives a missing end.
        if _PNG_END not in tail:
            raise OSError("the file is truncated, the end of the PNG is missing")
        return True
    return kind in ("JPEG", "MPO") and tail.rstrip(b"\0").endswith(_JPEG_END)
