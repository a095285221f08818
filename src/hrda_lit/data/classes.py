"""Classes of a label space: names, colours, thing classes, and tables from raw ids to train ids."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.config.ranges import Byte, KeysOf, Length
from hrda_lit.config.values import check

Colour = tuple[int, int, int]

# fmt: off
ID_MAPS: dict[str, dict[int, int]] = {  # raw id to train id; every id not listed is ignored
    # Cityscapes "labelIds" and the palette PNGs of GTA5 share one numbering.
    "cityscapes": {
        7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11,
        25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
    },
    "synthia": {
        3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12,
        8: 13, 18: 14, 19: 15, 20: 16, 12: 17, 11: 18,
    },
    "mapillary": {  # v1.2
        13: 0, 24: 0, 41: 0, 2: 1, 15: 1, 17: 2, 6: 3, 3: 4, 45: 5, 47: 5, 48: 6, 50: 7, 30: 8,
        29: 9, 27: 10, 19: 11, 20: 12, 21: 12, 22: 12, 55: 13, 61: 14, 54: 15, 58: 16, 57: 17,
        52: 18,
    },
}
# fmt: on


@dataclass(frozen=True)
class Classes:
    """Describe a label space; a train id is an index into `names`.

    Args:
        names: class names, at least two.
        colours: one RGB triple in [0, 255] per class, for pictures.
        things: train ids of countable objects, where the feature distance acts.
        ignore: label of pixels that no loss and no metric counts, in [0, 255] and not a train id.

    Raises:
        ValueError: if the fields contradict each other.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    things: frozenset[int] = frozenset()
    ignore: int = 255

    def __post_init__(self) -> None:
        count = len(self.names)
        if count < 2:
            raise ValueError(f"got {count} class names, need at least 2; list them under `names`.")
        if len(set(self.names)) != count:
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"class names {twice} occur twice, need unique names; rename one of each.")
        if not 0 <= self.ignore <= 255 or self.ignore < count:
            raise ValueError(
                f"ignore={self.ignore} with {count} classes: need a uint8 other than a train id "
                f"(0 to {count - 1}); set it to 255 and have at most 255 classes."
            )
        if len(self.colours) != count:
            raise ValueError(
                f"got {len(self.colours)} colours for {count} classes, need one each; "
                "add the missing or remove `colours`."
            )
        bad = [c for c in self.colours if len(c) != 3 or min(c) < 0 or max(c) > 255]
        if bad:
            raise ValueError(f"colours {bad} are not RGB triples in [0, 255]; correct them.")
        unknown = sorted(self.things.difference(range(count)))
        if unknown:
            raise ValueError(f"thing ids {unknown} are not train ids (0 to {count - 1}); correct `things`.")

    def __len__(self) -> int:
        return len(self.names)


# fmt: off
CITYSCAPES = Classes(
    names=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
        "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
        "motorcycle", "bicycle",
    ),
    colours=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
        (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    things=frozenset({6, 7, *range(11, 19)}),  # HRDA, official: the classes of the feature distance
)
# fmt: on


class ClassKeys(TypedDict):
    """How a config describes classes, see `classes_from`."""

    names: Annotated[Sequence[str | int], Length(least=2)]
    colours: NotRequired[Sequence[Annotated[Sequence[Byte], Length(3)]] | None]
    things: NotRequired[Sequence[str | int] | None]
    ignore: NotRequired[Byte]


def classes_from(spec: str | Mapping[str, Any]) -> Classes:
    """Make the classes that a config describes.

    Args:
        spec: "cityscapes", or a mapping with `names` and optionally `colours` (RGB triples; a
            palette by default), `things` (names of thing classes) and `ignore` (default 255).

    Raises:
        ValueError: if the name is unknown, a key is unknown or missing, or the values contradict each other.
    """
    if isinstance(spec, str):
        if spec != "cityscapes":
            raise ValueError(f"classes '{spec}' are unknown; choose cityscapes or give keys with `names`.")
        return CITYSCAPES
    check(spec, Annotated[Mapping[str, Any], KeysOf(ClassKeys)], "classes")
    names = tuple(map(str, spec["names"]))
    colours = spec.get("colours") or palette(len(names))
    things = [*map(str, spec.get("things") or ())]
    if unknown := [thing for thing in things if thing not in names]:
        raise ValueError(f"things {unknown} are not class names; choose from {list(names)}.")
    return Classes(
        names,
        tuple((red, green, blue) for red, green, blue in colours),
        frozenset(map(names.index, things)),
        spec.get("ignore", 255),
    )


def palette(count: int) -> tuple[Colour, ...]:
    """Choose up to 255 distinct RGB colours, always the same for the same count."""
    # Golden-ratio steps keep neighbouring ids far apart in hue; three brightnesses tell close hues apart.
    hsv = ((i * 0.61803398875 % 1.0, 0.75, (0.95, 0.7, 0.5)[i % 3]) for i in range(count))
    rgb = (colorsys.hsv_to_rgb(*colour) for colour in hsv)
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rgb)


def id_table(spec: str | Mapping[int, int] | None, classes: Classes) -> UInt8[Tensor, "256"]:
    """Make the lookup table from raw id to train id, or `classes.ignore`.

    Args:
        spec: a name of `ID_MAPS`; a mapping of raw id in [0, 255] to train id, where all others are
            ignored; or None, where labels already hold train ids.
        classes: classes that the train ids index.

    Raises:
        ValueError: if the name is unknown or an id is out of range.
    """
    ids = _train_ids_of_raw(spec, classes)
    table = torch.full((256,), classes.ignore, dtype=torch.uint8)
    for raw, train in ids.items():
        if not 0 <= raw <= 255 or not (0 <= train < len(classes) or train == classes.ignore):
            raise ValueError(
                f"id_map has {raw} -> {train}; need raw ids in [0, 255] and train ids in "
                f"[0, {len(classes) - 1}] or {classes.ignore}; correct it."
            )
        table[raw] = train
    return table


def _train_ids_of_raw(spec: str | Mapping[int, int] | None, classes: Classes) -> Mapping[int, int]:
    if spec is None:
        return {i: i for i in range(len(classes))}
    if isinstance(spec, str) and spec not in ID_MAPS:
        raise ValueError(f"id_map '{spec}' is unknown; choose one of {sorted(ID_MAPS)} or give a mapping.")
    return ID_MAPS[spec] if isinstance(spec, str) else spec


def raw_table(spec: str | Mapping[int, int] | None, classes: Classes) -> UInt8[Tensor, "256"]:
    """Make the lookup table from train id to raw id, of several the first listed; `classes.ignore` elsewhere.

    Raises:
        ValueError: if `spec` does not fit (see `id_table`), or has no raw id for a class.
    """
    id_table(spec, classes)  # refuses what does not fit
    table = torch.full((256,), classes.ignore, dtype=torch.uint8)
    ids = _train_ids_of_raw(spec, classes)
    for raw, train in reversed(list(ids.items())):
        if train != classes.ignore:
            table[train] = raw
    if without := [name for index, name in enumerate(classes.names) if index not in ids.values()]:
        raise ValueError(f"the id map has no raw id for the classes {without}; add them, or set ids=train.")
    return table
