"""Read the list of classes that an annotation tool wrote beside its labels."""

import csv
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Colour = tuple[int, int, int]
_IGNORED = {"__ignore__", "_ignore_", "ignore", "void", "unlabeled", "unlabelled"}


@dataclass(frozen=True)
class ClassList:
    """Names of classes.

    Args:
        names: in the order of the list, without what is ignored.
        origin: name of the list, for messages.
        ids: id of each name in label files.
        colours: colour of each name in label files, where they hold colours.
        ignored: colours that stand for no class.
    """

    names: list[str]
    origin: str
    ids: list[int]
    colours: list[Colour] | None = None
    ignored: list[Colour] = field(default_factory=list)


def make_list(names: Iterable[str], origin: str, colours: Iterable[Colour] | None = None,
              ids: Iterable[int] | None = None) -> ClassList:  # fmt: skip
    """Make a list of classes, and set apart what is ignored by its name."""
    all_names = [name.strip() for name in names]
    all_ids = list(ids) if ids is not None else list(range(len(all_names)))
    all_colours = list(colours) if colours is not None else None
    kept = [index for index, name in enumerate(all_names) if name.lower() not in _IGNORED]
    ignored = [] if all_colours is None else [c for i, c in enumerate(all_colours) if i not in kept]
    return ClassList(
        [all_names[index] for index in kept], origin, [all_ids[index] for index in kept],
        None if all_colours is None else [all_colours[index] for index in kept], ignored,
    )  # fmt: skip


def _cvat(path: Path) -> ClassList:
    """labelmap.txt of CVAT: `name:r,g,b:parts:actions`."""
    rows = [line.split(":") for line in _lines(path)]
    colours = [_colour(row[1].split(",")) for row in rows]
    return make_list((row[0] for row in rows), path.name, colours)


def _camvid(path: Path) -> ClassList:
    """label_colors.txt of CamVid and CVAT: `r g b name`."""
    rows = [line.split(None, 3) for line in _lines(path)]
    return make_list((row[3] for row in rows), path.name, [_colour(row[:3]) for row in rows])


def _roboflow(path: Path) -> ClassList:
    """_classes.csv of Roboflow: `Pixel Value, Class`."""
    rows = [row for row in csv.reader(_lines(path)) if row and row[0].strip().isdigit()]
    return make_list((row[1] for row in rows), path.name, ids=[int(row[0]) for row in rows])


def _labelme(path: Path) -> ClassList:
    """class_names.txt of labelme's export: `__ignore__` is written as 255 and the next name as 0."""
    names = _lines(path)
    return make_list([name for name in names if name != "__ignore__"], path.name)


def _names(path: Path) -> ClassList:
    """A name a line, perhaps behind its id."""
    rows = [re.fullmatch(r"(?:(\d+)[\s,:;]+)?(.+)", line) for line in _lines(path)]
    named = [row for row in rows if row is not None]
    ids = [int(row[1]) for row in named] if all(row[1] for row in named) else None
    return make_list((row[2] for row in named), path.name, ids=ids)


def _json(path: Path) -> ClassList:
    """A list of names, a mapping of ids to names or of names to ids, or one of these under `names` or `classes`."""
    content = json.loads(path.read_text())
    if isinstance(content, dict):
        content = content.get("names", content.get("classes", content))
    if isinstance(content, dict):
        pairs = [(key, value) if isinstance(value, str) else (value, key) for key, value in content.items()]
        return make_list((str(name) for _, name in pairs), path.name, ids=[int(number) for number, _ in pairs])
    if all(isinstance(one, dict) for one in content):
        return _records(content, path.name)
    return make_list(map(str, content), path.name)


def _records(classes: list[dict[str, Any]], origin: str) -> ClassList:
    colours = [_colour(one["color"]) for one in classes] if all("color" in one for one in classes) else None
    return make_list((one["name"] for one in classes), origin, colours, [int(one["id"]) for one in classes])


READERS: dict[str, Callable[[Path], ClassList]] = {
    "labelmap.txt": _cvat,
    "label_colors.txt": _camvid,
    "_classes.csv": _roboflow,
    "class_names.txt": _labelme,
    "classes.txt": _names,
    "labels.txt": _names,
    "names.txt": _names,
    "obj.names": _names,
    "classes.json": _json,
}


def read_class_list(root: Path) -> ClassList | None:
    """Read the list of classes in a folder, in one of its folders, or beside it; None where there is no list.

    Raises:
        ValueError: if a list cannot be read.
    """
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir()), root.parent]
    for folder in folders:
        for name, read in READERS.items():
            if (path := folder / name).is_file():
                try:
                    return read(path)
                except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
                    raise ValueError(f"{path} is no list of classes that can be read ({error}); correct it.") from error
    return None


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _colour(parts: Iterable[str]) -> Colour:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue
