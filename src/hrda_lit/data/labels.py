"""The labels of a dataset: train ids, and how many pixels have each id."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from hrda_lit.config.messages import wrong_name
from hrda_lit.data.cache import Records
from hrda_lit.data.classes import Classes, Colour, id_table
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.label_files import read_label, read_label_colours
from hrda_lit.data.layout import Layout
from hrda_lit.data.pixels import Pixels


class Labels:
    """Read the labels of a dataset, see `FolderDataset` for the arguments.

    Raises:
        ValueError: if an argument does not make sense, or there are both an id_map and colours.
    """

    def __init__(
        self, name: str, classes: Classes, id_map: str | Mapping[int, int] | None, layout: Layout, tree: FileTree
    ) -> None:
        if layout.colour_map is not None and id_map is not None:
            raise ValueError(f"{name} has both an id_map and a layout.colour_map; set one of them to null.")
        self.name, self.classes, self.layout, self.tree = name, classes, layout, tree
        self.table = id_table(id_map, classes)  # train id of each id that files hold
        self.are_train_ids = id_map is None  # any other id is a fault
        # The ids that the config gives a class to, None where a published map or colours do.
        self.named = frozenset(id_map) if isinstance(id_map, Mapping) else None
        self._colours = None if layout.colour_map is None else ColourMap(layout.colour_map, classes)
        # Everything that the ids of a file depend on, for caches.
        self.key = repr((self.table.tolist(), classes.names, layout.label_channel, layout.colour_map))
        if self._colours:
            self.key += f" {layout.unknown_colours}"

    def read(self, path: Path) -> UInt8[Tensor, "H W"]:
        """Read the train id of each pixel; for errors see `count`."""
        return self._train_ids(self._raw(path))

    def count_files(self, files: Iterable[Path], cache_dir: Path, text: str) -> dict[Path, Counter[int] | str]:
        """Count the ids of label files, see `count`, cached by `Records`; of a broken one its fault."""

        def count(path: Path) -> dict[int, int] | str:
            try:
                return dict(self.count(path))
            except (ValueError, OSError) as error:
                return str(error)

        return Records(cache_dir, self.tree, f"ids {self.key}")(files, count, _parse_counts, text)

    def count(self, path: Path) -> Counter[int]:
        """Count the pixels of each id, as the file holds them.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if the file is broken, or holds train ids or colours that do not exist.
        """
        return count_ids(self._raw(path))

    def train_counts(self, ids: Mapping[int, int]) -> Int64[Tensor, "256"]:
        """Turn pixels by id, as files hold them, into pixels by train id."""
        train = self.table[[*ids]].long()
        return torch.zeros(256, dtype=torch.int64).index_add(0, train, torch.tensor([*ids.values()], dtype=torch.int64))

    def _train_ids(self, raw: UInt8[Tensor, "H W"]) -> UInt8[Tensor, "H W"]:
        return self.table.index_select(0, raw.flatten().int()).view(raw.shape)

    def _raw(self, path: Path) -> UInt8[Tensor, "H W"]:
        if self._colours is not None:
            return self._from_colours(path, self._colours)
        raw = read_label(path, self.layout.label_channel, self.tree.archived(path))
        stray = self._train_ids(raw) != raw if self.are_train_ids else None
        if stray is not None and bool(stray.any()):
            raise ValueError(
                f"label {path} holds the id {int(raw[stray][0])}, need train ids 0 to "
                f"{len(self.classes) - 1} or {self.classes.ignore}; correct it or set id_map of {self.name}."
            )
        return raw

    def _from_colours(self, path: Path, colours: "ColourMap") -> UInt8[Tensor, "H W"]:
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
                if table.setdefault(_pack(np.array(colour)).item(), train) != train:
                    raise ValueError(f"layout.colour_map gives {colour} to two classes; correct one of them.")
        if not table:
            raise ValueError("layout.colour_map is empty; give each class its colour, or set it to null.")
        self._keys = np.array(sorted(table))
        self._ids = np.array([table[key] for key in self._keys.tolist()], np.uint8)
        self._ignore = classes.ignore

    def __call__(self, pixels: Pixels) -> tuple[UInt8[Tensor, "H W"], Counter[Colour]]:
        """Translate RGB values into train ids, ignored where unknown; count each unknown colour."""
        packed = _pack(pixels)
        place = np.searchsorted(self._keys, packed).clip(max=len(self._keys) - 1)
        known = self._keys[place] == packed
        label = np.where(known, self._ids[place], np.uint8(self._ignore))
        return torch.from_numpy(label), count_colours(pixels[~known])


def count_colours(pixels: UInt8[np.ndarray, "*N 3"]) -> Counter[Colour]:
    """Count the pixels of each RGB colour."""
    packed, counts = np.unique(_pack(pixels), return_counts=True)
    colours = [(key >> 16, key >> 8 & 255, key & 255) for key in packed.tolist()]
    return Counter(dict(zip(colours, counts.tolist(), strict=True)))


def count_ids(label: UInt8[Tensor, "H W"]) -> Counter[int]:
    """Count the pixels of each id that occurs."""
    counts = torch.bincount(label.flatten()).tolist()
    return Counter({raw: number for raw, number in enumerate(counts) if number})


def _pack(pixels: np.ndarray) -> np.ndarray:
    wide = pixels.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _train_id(name: Any, classes: Classes) -> int:
    if isinstance(name, bool) or name is None:
        raise ValueError(wrong_name("layout.colour_map", name, "text or a whole number"))
    if name in classes.names:
        return classes.names.index(name)
    if name in ("ignore", classes.ignore):
        return classes.ignore
    if isinstance(name, int) and 0 <= name < len(classes):
        return name
    raise ValueError(
        f"layout.colour_map has {name!r}, not a class; choose from {list(classes.names)}, their ids, or ignore."
    )


def _triples(name: Any, given: Any) -> list[Any]:
    is_list = isinstance(given, list | tuple) and given and isinstance(given[0], list | tuple)
    several = list(given) if is_list else [given]
    for colour in several:
        whole = isinstance(colour, list | tuple) and all(isinstance(v, int) and 0 <= v <= 255 for v in colour)
        if not whole or len(colour) != 3:
            raise ValueError(
                f"layout.colour_map gives {name} {colour}, need [red, green, blue] in [0, 255]; correct it."
            )
    return several
