"""Read label files: raw ids or colours of each pixel, and their train ids."""

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ImageFile
from torch import Tensor

from hrda_lit.data.cache import Records
from hrda_lit.data.classes import Classes, Colour, id_table, name_of
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.images import NUMPY, decode, name_in_errors, read_content
from hrda_lit.data.layout import Channel, Layout
from hrda_lit.data.pixels import KindError, Pixels, deep_values, raw_mode, rgb, turn_upright

# Compression of photographs invents ids along the borders of classes.
_LOSSY = ("JPEG", "MPO", "JPEG2000", "AVIF")
_KINDS = {
    "index": "one channel of ids or a palette",
    "red16": "three channels of 16 bits",
}


def read_label(path: Path, channel: Channel = "index", content: bytes | None = None) -> UInt8[Tensor, "H W"]:
    """Read the raw class id of each pixel.

    Args:
        path: PNG file, another that keeps every id, or a two-dimensional array of integers (.npy).
        channel: "index" for one channel (with or without alpha), three equal ones, or a palette, whose
            indices are the ids; "red16" for 16 bits per channel with the id, below 256, in the first
            (SYNTHIA).
        content: bytes of a file that lies in an archive; None for one on disk.

    Returns:
        Raw ids in [0, 255].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is broken or of another kind than `channel` says.
    """
    whole = read_content(path, content)
    if whole.startswith(NUMPY):
        with name_in_errors(path):
            return torch.from_numpy(as_ids(read_array(whole)))
    return torch.from_numpy(decode(path, lambda file: class_ids(file, whole, channel), whole))


def read_label_colours(path: Path, content: bytes | None = None) -> Pixels:
    """Read a label whose colours stand for its classes; lossy formats are refused as by `read_label`."""
    whole = read_content(path, content)

    def colours(file: ImageFile.ImageFile) -> Pixels:
        refuse_lossy(file, whole)
        return rgb(file)

    return decode(path, colours, whole)


def read_array(content: bytes) -> np.ndarray:
    """Read a label of NumPy's; raises a KindError unless it is a two-dimensional array of integers."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise KindError(f"holds {array.dtype} of shape {array.shape}, need integers of shape (height, width)")
    return np.asarray(array)


def class_ids(file: ImageFile.ImageFile, content: bytes, channel: Channel) -> UInt8[np.ndarray, "H W"]:
    """Read the class ids in [0, 255] of an opened label, not decoded yet, upright.

    Raises:
        KindError: if it is of another kind than `channel` says, lossy, or holds an id above 255.
    """
    refuse_lossy(file, content)
    raw = raw_mode(file)  # before it is decoded
    deep = deep_values(file, content)
    values = _first_of_three(deep) if channel == "red16" else _grey_values(file, deep, raw)
    if values is None:
        raise KindError(
            f"does not hold {_KINDS[channel]}, which label_channel={channel} needs, but {raw or file.mode}; convert "
            "it, or set layout.label_channel, or layout.colour_map where colours stand for classes"
        )
    return as_ids(values)


def _first_of_three(deep: np.ndarray | None) -> np.ndarray | None:
    return None if deep is None or deep.ndim != 3 or deep.shape[2] != 3 else deep[..., 0]


def _grey_values(file: ImageFile.ImageFile, deep: np.ndarray | None, raw: str) -> np.ndarray | None:
    """Return one channel, that beside alpha, the indices of a palette or one of three equal channels."""
    if deep is None and file.mode in ("1", "L", "P", "LA", "PA"):
        values = np.asarray(file)
        return turn_upright(values if values.ndim == 2 else values[..., 0], file) // _grey_step(raw)
    if deep is None and file.mode not in ("RGB", "RGBA"):
        return None
    values = rgb(file) if deep is None else deep
    if values.ndim == 2 or values.shape[2] == 2:
        return values if values.ndim == 2 else values[..., 0]
    equal = values.ndim == 3 and bool((values[..., 1:3] == values[..., :1]).all())
    return values[..., 0] if equal else None


def as_ids(values: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    """Return integers as uint8; raises a KindError if one is not in 0 to 255."""
    if values.size and (values.min() < 0 or values.max() > 255):
        stray = values.min() if values.min() < 0 else values.max()
        raise KindError(f"holds the id {stray}, need ids from 0 to 255; convert it or leave it out")
    return values.astype(np.uint8)


def refuse_lossy(file: ImageFile.ImageFile, content: bytes) -> None:
    """Raise a KindError for a label whose file format does not keep ids."""
    if file.format in _LOSSY or (file.format == "WEBP" and b"VP8L" not in content):
        raise KindError(f"is a {file.format}, whose compression changes ids along borders; export labels as PNG")


def _grey_step(raw: str) -> int:
    """Return by what Pillow multiplies grey of 2 and 4 bits, so that white becomes 255."""
    return 85 if raw.startswith("L;2") else 17 if raw.startswith("L;4") else 1


class ColourMap:
    """Translate the colours of a label into train ids.

    Args:
        colours: class name, train id, "ignore" or the ignored id to its [red, green, blue] in [0, 255], or to
            a list of such, e.g. {road: [128, 64, 128], car: [[0, 0, 142], [0, 0, 70]], ignore: [0, 0, 0]}.
        classes: classes that the train ids index.

    Raises:
        ValueError: if a name, an id or a colour is wrong, or a colour stands for two classes.
    """

    def __init__(self, colours: Mapping[Any, Any], classes: Classes) -> None:
        table: dict[int, int] = {}
        for name, given in colours.items():
            train = _train_id(name, classes)
            for colour in _triples(name, given):
                if table.setdefault(_packed(np.array(colour)).item(), train) != train:
                    raise ValueError(f"layout.colour_map gives {list(colour)} to two classes; correct one of them.")
        if not table:
            raise ValueError("layout.colour_map is empty; give each class its colour, or set it to null.")
        self._keys = np.array(sorted(table))
        self._ids = np.array([table[key] for key in self._keys.tolist()], np.uint8)
        self._ignore = classes.ignore

    def __call__(self, pixels: Pixels) -> tuple[UInt8[Tensor, "H W"], dict[Colour, int]]:
        """Translate RGB values into train ids, ignored where unknown; count each unknown colour."""
        packed = _packed(pixels)
        place = np.searchsorted(self._keys, packed).clip(max=len(self._keys) - 1)
        known = self._keys[place] == packed
        label = np.where(known, self._ids[place], np.uint8(self._ignore))
        stray, counts = np.unique(packed[~known], return_counts=True)
        unknown = {
            (key >> 16, key >> 8 & 255, key & 255): n for key, n in zip(stray.tolist(), counts.tolist(), strict=True)
        }
        return torch.from_numpy(label), unknown


def _packed(pixels: np.ndarray) -> np.ndarray:
    wide = pixels.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _train_id(name: Any, classes: Classes) -> int:
    if isinstance(name, bool):  # no id, though Python counts with it
        name_of(name)
    if name in classes.names:
        return classes.names.index(name)
    if name in ("ignore", classes.ignore):
        return classes.ignore
    if isinstance(name, int) and 0 <= name < len(classes):
        return name
    raise ValueError(
        f"layout.colour_map has {name!r}, not a class; choose from {list(classes.names)}, their ids, or ignore."
    )


def _triples(name: Any, given: Any) -> list[Colour]:
    several = given if isinstance(given, Sequence) and given and isinstance(given[0], Sequence) else [given]
    for colour in several:
        whole = isinstance(colour, Sequence) and all(isinstance(v, int) and 0 <= v <= 255 for v in colour)
        if not whole or len(colour) != 3:
            raise ValueError(
                f"layout.colour_map gives {name} {colour}, need [red, green, blue] in [0, 255]; correct it."
            )
    return [(colour[0], colour[1], colour[2]) for colour in several]


class Labels:
    """Read the labels of a data set.

    Args:
        name: name of the data set, for messages.
        classes: classes that train ids index.
        id_map: raw id to train id, see `id_table`; None where files hold train ids.
        layout: the channel that holds the id, or colours that stand for classes.
        tree: tree of the files.

    Attributes:
        table: train id of each id that files hold.
        are_train_ids: whether they hold train ids, so that any other id is a fault.
        named: the ids that the config gives a class to, None where a published map or colours do.

    Raises:
        ValueError: if an argument does not make sense, or there are both an id_map and colours.
    """

    def __init__(
        self, name: str, classes: Classes, id_map: str | Mapping[int, int] | None, layout: Layout, tree: FileTree
    ) -> None:
        if layout.colour_map is not None and id_map is not None:
            raise ValueError(f"{name} has both an id_map and a layout.colour_map; set one of them to null.")
        self.name, self.classes, self.layout, self.tree = name, classes, layout, tree
        self.table = id_table(id_map, classes)
        self.are_train_ids = id_map is None
        self.named = frozenset(id_map) if isinstance(id_map, Mapping) else None
        self._colours = None if layout.colour_map is None else ColourMap(layout.colour_map, classes)
        self._key = repr((self.table.tolist(), classes.names, layout.label_channel, layout.colour_map))

    @property
    def key(self) -> str:
        """Return all that the ids of a file depend on, for caches."""
        return f"{self._key} {self.layout.unknown_colours}" if self._colours else self._key

    def read(self, path: Path) -> UInt8[Tensor, "H W"]:
        """Read the train id of each pixel; for errors see `count`."""
        return self._train_ids(self._raw(path))

    def count_files(self, files: Iterable[Path], cache_dir: Path, text: str) -> dict[Path, Counter[int] | str]:
        """Count the pixels of each id of label files, each once as long as it stays as it is, see `Records`.

        Returns:
            Pixels by id, as files hold them; the fault in words where a file cannot be read.
        """

        def count(path: Path) -> dict[int, int] | str:
            try:
                return dict(self.count(path))
            except (ValueError, OSError) as error:
                return str(error)

        return Records(cache_dir, self.tree, f"ids {self.key}")(files, count, _parse_counts, text)

    def count(self, path: Path) -> Counter[int]:
        """Count the pixels of each id, as the file holds them.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is broken, or holds train ids or colours that do not exist.
        """
        counts = torch.bincount(self._raw(path).flatten())
        return Counter({raw: number for raw, number in enumerate(counts.tolist()) if number})

    def _train_ids(self, raw: UInt8[Tensor, "H W"]) -> UInt8[Tensor, "H W"]:
        return self.table.index_select(0, raw.flatten().int()).view(raw.shape)

    def _raw(self, path: Path) -> UInt8[Tensor, "H W"]:
        if self._colours is not None:
            return self._from_colours(path, self._colours)
        raw = read_label(path, self.layout.label_channel, self.tree.archived(path))
        if self.are_train_ids and bool((stray := self._train_ids(raw) != raw).any()):
            raise ValueError(
                f"label {path} holds the id {int(raw[stray][0])}, need train ids 0 to "
                f"{len(self.classes) - 1} or {self.classes.ignore}; correct it or set id_map of {self.name}."
            )
        return raw

    def _from_colours(self, path: Path, colours: ColourMap) -> UInt8[Tensor, "H W"]:
        label, unknown = colours(read_label_colours(path, self.tree.archived(path)))
        if unknown and self.layout.unknown_colours == "refuse":
            colour, count = max(unknown.items(), key=lambda item: item[1])
            raise ValueError(
                f"label {path} has {sum(unknown.values())} pixels of {len(unknown)} colours that layout.colour_map of "
                f"{self.name} lacks, most of them {list(colour)} ({count}); add them, or set "
                "layout.unknown_colours=ignore."
            )
        return label


def _parse_counts(raw: Any) -> Counter[int] | str:
    # JSON turns ids into text.
    return raw if isinstance(raw, str) else Counter({int(i): int(number) for i, number in dict(raw).items()})
