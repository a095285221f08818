"""The labels of a dataset: train ids, and how many pixels have each id."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.data.cache import Records
from hrda_lit.data.classes import Classes, id_table
from hrda_lit.data.colour_map import ColourMap
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.label_files import read_label, read_label_colours
from hrda_lit.data.layout import Layout


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
        counts = torch.bincount(self._raw(path).flatten())
        return Counter({raw: number for raw, number in enumerate(counts.tolist()) if number})

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
