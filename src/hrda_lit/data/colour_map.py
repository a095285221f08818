"""Labels whose colours stand for classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.config.messages import wrong_name
from hrda_lit.data.classes import Classes, Colour
from hrda_lit.data.pixels import Pixels


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
                    raise ValueError(f"layout.colour_map gives {colour} to two classes; correct one of them.")
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
        colours = [(key >> 16, key >> 8 & 255, key & 255) for key in stray.tolist()]
        return torch.from_numpy(label), dict(zip(colours, counts.tolist(), strict=True))


def _packed(pixels: np.ndarray) -> np.ndarray:
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
