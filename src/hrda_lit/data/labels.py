"""From the file of a label to train ids."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.data.classes import Classes, id_table
from hrda_lit.data.colour_map import ColourMap
from hrda_lit.data.images import read_label, read_label_colours
from hrda_lit.data.layout import Layout


class Labels:
    """Read the labels of a data set.

    Args:
        name: of the data set, for messages.
        classes: what train ids index.
        id_map: raw id to train id, see `id_table`; None where files hold train ids.
        layout: where files hold the id, or which colours stand for classes.

    Attributes:
        table: train id of each id that files hold.
        are_train_ids: whether they hold train ids, so that any other id is a mistake.

    Raises:
        ValueError: if an argument does not make sense, or there are both an id_map and colours.
    """

    def __init__(self, name: str, classes: Classes, id_map: str | Mapping[int, int] | None, layout: Layout) -> None:
        if layout.colour_map is not None and id_map is not None:
            raise ValueError(f"{name} has both an id_map and a layout.colour_map; set one of them to null.")
        self.name, self.classes, self.layout = name, classes, layout
        self.table = id_table(id_map, classes)
        self.are_train_ids = id_map is None
        self._colours = None if layout.colour_map is None else ColourMap(layout.colour_map, classes)
        self._key = repr((self.table.tolist(), classes.names, layout.label_channel, layout.colour_map))

    @property
    def key(self) -> str:
        """Return all that the ids of a file depend on, for caches."""
        return f"{self._key} {self.layout.unknown_colours}" if self._colours else self._key

    def read(self, path: Path) -> UInt8[Tensor, "H W"]:
        """Read the train id of each pixel.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is broken, or holds train ids or colours that do not exist.
        """
        return self._train_ids(self._raw(path))

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
        raw = read_label(path, self.layout.label_channel)
        if self.are_train_ids and bool((strange := self._train_ids(raw) != raw).any()):
            raise ValueError(
                f"label {path} holds the id {int(raw[strange][0])}, need train ids 0 to "
                f"{len(self.classes) - 1} or {self.classes.ignore}; correct it or set id_map of {self.name}."
            )
        return raw

    def _from_colours(self, path: Path, colours: ColourMap) -> UInt8[Tensor, "H W"]:
        label, unknown = colours(read_label_colours(path))
        if unknown and self.layout.unknown_colours == "refuse":
            colour, count = max(unknown.items(), key=lambda item: item[1])
            raise ValueError(
                f"label {path} has {sum(unknown.values())} pixels of {len(unknown)} colours that layout.colour_map of "
                f"{self.name} lacks, most of them {list(colour)} ({count}); add them, or set "
                "layout.unknown_colours=ignore."
            )
        return label
