"""Read the list of classes that an annotation tool wrote beside its labels."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hrda_lit.data.classes import Colour

_IGNORED = {"__ignore__", "_ignore_", "ignore", "void", "unlabeled", "unlabelled"}


class Entry(NamedTuple):
    """A line of a list: a name, its id in label files, and its colour where they hold colours."""

    name: str
    id: int
    colour: Colour | None = None


@dataclass(frozen=True)
class ClassList:
    """Names of classes."""

    origin: str  # name of the list, for messages
    classes: list[Entry]  # in the order of the list
    ignored: list[Entry]  # named void, ignore or unlabeled: their pixels do not count

    @property
    def names(self) -> list[str]:
        """Return the name of each class."""
        return [entry.name for entry in self.classes]

    @property
    def ids(self) -> list[int]:
        """Return the id of each class."""
        return [entry.id for entry in self.classes]

    @property
    def colours(self) -> list[Colour]:
        """Return the colour of each class that has one."""
        return [entry.colour for entry in self.classes if entry.colour is not None]

    @property
    def is_plain(self) -> bool:
        """Return whether ids count from 0 in the order of the names."""
        return self.ids == list(range(len(self.classes)))


def _make_list(origin: str, entries: Iterable[Entry]) -> ClassList:
    """Make a list of classes, and set apart what is ignored by its name."""
    named = [entry._replace(name=entry.name.strip()) for entry in entries]
    classes = [entry for entry in named if entry.name.lower() not in _IGNORED]
    if not classes:
        raise ValueError("it names no class")
    return ClassList(origin, classes, [entry for entry in named if entry not in classes])


def _number(names: Iterable[str]) -> list[Entry]:
    """Number names from 0."""
    return [Entry(name, index) for index, name in enumerate(names)]


def _cvat(path: Path) -> list[Entry]:
    """labelmap.txt of CVAT: `name:r,g,b:parts:actions`."""
    rows = [line.split(":") for line in _lines(path)]
    return [Entry(row[0], index, _colour(row[1].split(","))) for index, row in enumerate(rows)]


def _camvid(path: Path) -> list[Entry]:
    """label_colors.txt of CamVid and CVAT: `r g b name`."""
    rows = [line.split(None, 3) for line in _lines(path)]
    return [Entry(row[3], index, _colour(row[:3])) for index, row in enumerate(rows)]


def _roboflow(path: Path) -> list[Entry]:
    """_classes.csv of Roboflow: `Pixel Value, Class`."""
    rows = [row for row in csv.reader(_lines(path)) if row and row[0].strip().isdigit()]
    return [Entry(row[1], int(row[0])) for row in rows]


def _labelme(path: Path) -> list[Entry]:
    """class_names.txt of labelme's export: `__ignore__` is written as 255 and the next name as 0."""
    return _number(name for name in _lines(path) if name != "__ignore__")


def _names(path: Path) -> list[Entry]:
    """A name a line, perhaps behind its id."""
    lines = _lines(path)
    matches = [re.fullmatch(r"(\d+)[\s,:;]+(.+)", line) for line in lines]
    rows = [match for match in matches if match is not None]
    return [Entry(row[2], int(row[1])) for row in rows] if len(rows) == len(lines) else _number(lines)


def _json(path: Path) -> list[Entry]:
    """Names, records, ids to names or names to ids, perhaps under `names`, `classes` or `labels`."""
    content = json.loads(path.read_bytes())
    for key in ("names", "classes", "labels"):
        if isinstance(content, dict) and key in content:
            content = content[key]
    if isinstance(content, dict):
        pairs = [(key, value) if isinstance(value, str) else (value, key) for key, value in content.items()]
        return [Entry(str(name), int(index)) for index, name in pairs]
    return [_record(one, index) for index, one in enumerate(content)]


def _record(one: Any, index: int) -> Entry:
    """Read a name, or a record of `name`, and perhaps `color` and `id`, as in Mapillary's config."""
    if not isinstance(one, dict):
        return Entry(str(one), index)
    return Entry(one["name"], int(one.get("id", index)), _colour(one["color"]) if "color" in one else None)


READERS: dict[str, Callable[[Path], list[Entry]]] = {
    "labelmap.txt": _cvat,
    "label_colors.txt": _camvid,
    "_classes.csv": _roboflow,
    "class_names.txt": _labelme,
    "classes.txt": _names,
    "labels.txt": _names,
    "names.txt": _names,
    "obj.names": _names,
    "classes.json": _json,
    "config_v1.2.json": _json,
    "config_v2.0.json": _json,
}


def find_class_list(root: Path) -> ClassList | None:
    """Read the list of classes in a folder, in one of its folders, or beside it; None without a list.

    Raises:
        ValueError: if a list cannot be read.
    """
    root = root.absolute()
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir()), root.parent):
        for name in READERS:
            if (folder / name).is_file():
                return _read_list(folder / name)
    return None


def _read_list(path: Path) -> ClassList:
    """Read a list of classes; a file that `READERS` lacks has a name a line, or is JSON."""
    read = READERS.get(path.name) or (_json if path.suffix == ".json" else _names)
    try:
        return _make_list(path.name, read(path))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a list of classes ({error}); correct it.") from error


def parse_classes(classes: Any) -> ClassList:
    """Read the answer of the user: a file, a list of names, or a mapping of names to ids or colours.

    Raises:
        ValueError: if it is something else.
    """
    if isinstance(classes, str):
        path = Path(classes).expanduser()
        if not path.is_file():
            raise ValueError(f"classes={classes}: expected cityscapes, a file, a list or a mapping.")
        return _read_list(path)
    if not isinstance(classes, Mapping):
        return _make_list("classes", _number(map(str, classes)))
    entries = []
    for index, (name, value) in enumerate(classes.items()):
        if isinstance(value, int):
            entries.append(Entry(str(name), value))
        elif isinstance(value, list) and len(value) == 3:
            entries.append(Entry(str(name), index, (value[0], value[1], value[2])))
        else:
            raise ValueError(f"classes has {name}: {value}; give an id or a colour [red, green, blue].")
    return _make_list("classes", entries)


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _colour(parts: Iterable[str]) -> Colour:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue
