"""Read the list of classes that an annotation tool wrote with its labels."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hrda_lit.data.classes import Colour

_IGNORED = {"__ignore__", "_ignore_", "ignore", "void", "unlabeled", "unlabelled"}
_NUMBERED = r"(?P<id>\d+)[\s,:;]+(?P<name>.+)"
# The lines of lists that tools write; of any other list a line is a name, perhaps behind its id.
_LINES = {
    "labelmap.txt": r"(?P<name>[^:]*):(?P<colour>[\d, ]+)(:.*)?",  # CVAT: name:r,g,b:parts:actions
    "label_colors.txt": r"(?P<colour>\d+\s+\d+\s+\d+)\s+(?P<name>.+)",  # CamVid and CVAT: r g b name
    "_classes.csv": r'(?P<id>\d+)\s*,\s*"?(?P<name>[^"]+)"?',  # Roboflow: Pixel Value, Class
}
# Lines that name no class. labelme's export writes `__ignore__` as 255 and the next name as 0.
_NO_CLASS = {"_classes.csv": r"\D.*", "class_names.txt": "__ignore__"}
FILES = (
    *_LINES, "class_names.txt", "classes.txt", "labels.txt", "names.txt", "obj.names", "classes.json",
    "config_v1.2.json", "config_v2.0.json",
)  # fmt: skip


class Entry(NamedTuple):
    """A line of a list: a name, its id in label files, and its colour where they hold colours."""

    name: str
    id: int
    colour: Colour | None = None


@dataclass(frozen=True)
class ClassList:
    """Classes in the order of a list."""

    origin: str  # name of the list, for messages
    names: list[str]
    ids: list[int]
    colours: list[Colour]  # of each class that has one
    ignored: list[Entry]  # named void, ignore or unlabeled: their pixels do not count

    @property
    def is_plain(self) -> bool:
        """Return whether ids count from 0 in the order of the names."""
        return self.ids == list(range(len(self.ids)))


def _make_list(origin: str, entries: Iterable[Entry]) -> ClassList:
    """Make a list of classes, and set apart what is ignored by its name."""
    named = [entry._replace(name=entry.name.strip()) for entry in entries]
    classes = [entry for entry in named if entry.name.lower() not in _IGNORED]
    if not classes:
        raise ValueError("it names no class")
    return ClassList(
        origin,
        [entry.name for entry in classes],
        [entry.id for entry in classes],
        [entry.colour for entry in classes if entry.colour is not None],
        [entry for entry in named if entry not in classes],
    )


def _read_lines(path: Path) -> list[Entry]:
    """Read a class a line; ids count from 0 where lines have none."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    no_class = rf"(#.*)?|{_NO_CLASS.get(path.name, '')}"
    lines = [line for line in lines if not re.fullmatch(no_class, line)]
    all_numbered = all(re.fullmatch(_NUMBERED, line) for line in lines)
    pattern = _LINES.get(path.name, _NUMBERED if all_numbered else "(?P<name>.+)")
    entries = []
    for index, line in enumerate(lines):
        found = re.fullmatch(pattern, line)
        if found is None:
            raise ValueError(f"'{line}' in it does not look like a class")
        fields = found.groupdict()
        colour = _colour(re.findall(r"\d+", fields["colour"])) if "colour" in fields else None
        entries.append(Entry(fields["name"], int(fields.get("id", index)), colour))
    return entries


def _read_json(path: Path) -> list[Entry]:
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


def find_class_list(root: Path) -> ClassList | None:
    """Read the list of classes in a folder, in one of its folders, or beside it; None without a list.

    Raises:
        ValueError: if a list cannot be read.
    """
    root = root.absolute()
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir()), root.parent):
        for name in FILES:
            if (folder / name).is_file():
                return _read_list(folder / name)
    return None


def _read_list(path: Path) -> ClassList:
    try:
        return _make_list(path.name, _read_json(path) if path.suffix == ".json" else _read_lines(path))
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
        return _make_list("classes", [Entry(str(name), index) for index, name in enumerate(classes)])
    entries = []
    for index, (name, value) in enumerate(classes.items()):
        if isinstance(value, int):
            entries.append(Entry(str(name), value))
        elif isinstance(value, list) and len(value) == 3:
            entries.append(Entry(str(name), index, (value[0], value[1], value[2])))
        else:
            raise ValueError(f"classes has {name}: {value}; give an id or a colour [red, green, blue].")
    return _make_list("classes", entries)


def _colour(parts: Iterable[str]) -> Colour:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue
