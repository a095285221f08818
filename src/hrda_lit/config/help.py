"""Print `--help`: the choices and keys of a command, with their defaults and the comments of the YAML files."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

_COMMENT = re.compile(r"\s# (.*)$")


class Key(NamedTuple):
    """A dotted key, its default as the YAML file has it, and its comment there."""

    name: str
    default: str
    meaning: str


class Group(NamedTuple):
    """A group of a defaults list, e.g. "dataset@source", the choice it makes and those it has."""

    name: str
    default: str
    choices: list[str]


def show(config_name: str, console: Console | None = None) -> None:
    """Print the help of a command.

    Args:
        config_name: config of the command, e.g. "train".
        console: console to print to; None: the screen.
    """
    console = console or Console(highlight=False)
    tree, place = f"{config_name}.yaml", _conf()
    header = _loaded(tree)["hydra"]["help"]["header"]
    trees = [tree, *(f"{entry}.yaml" for entry in _loaded(tree)["defaults"] if (place / f"{entry}.yaml").is_file())]
    console.print(escape(header), soft_wrap=True)
    groups = [group for one in trees for group in groups_of(one)]
    _print(console, "choice", "of", [(g.name, g.default, ", ".join(g.choices)) for g in groups])
    _print(console, "key", "meaning", keys_shown(trees, groups))
    console.print(
        "Set them by choice=... and key=...; --cfg job prints the whole config, --hydra-help what Hydra itself knows, "
        "-sc install=bash completes words.",
        soft_wrap=True,
    )


def keys_shown(trees: Sequence[str], groups: Sequence[Group]) -> list[Key]:
    """Return the keys of a command and of what its groups choose; of data sets, which are alike, once."""
    packages = {group.name.rpartition("@")[2].replace("/", ".") for group in groups}
    keys = [key for tree in trees for key in keys_of(tree)]
    keys = [key for key in keys if not key.name.startswith("hydra.") and key.name not in packages]
    shown = set()
    for group in groups:
        folder, _, package = group.name.rpartition("@")
        path = f"{folder or package}/{group.default}.yaml"
        if (folder or package) not in shown and (_conf() / path).is_file():
            shown.add(folder or package)
            above = f"{package.replace('/', '.')}."
            keys += _joined(key for one in _with_bases(path) for key in keys_of(one, above))
    return keys


def _with_bases(path: str) -> Iterator[str]:
    """Yield the files beside a choice that it builds on, then the choice itself."""
    for entry in _loaded(path).get("defaults", ()):
        if isinstance(entry, str) and entry != "_self_":
            yield from _with_bases(f"{path.rpartition('/')[0]}/{entry}.yaml")
    yield path


def _joined(keys: Iterable[Key]) -> list[Key]:
    """Keep the last default and the last meaning of each key."""
    joined: dict[str, Key] = {}
    for key in keys:
        meaning = key.meaning or (joined[key.name].meaning if key.name in joined else "")
        joined[key.name] = key._replace(meaning=meaning)
    return list(joined.values())


def groups_of(tree: str, above: str = "") -> Iterator[Group]:
    """Yield the groups of a YAML file's defaults list, as far as they have choices, and those of what it chooses.

    Args:
        tree: path of the file, relative to conf/.
        above: group that the file is a choice of.
    """
    for entry in _loaded(tree).get("defaults", ()):
        for key, default in entry.items() if isinstance(entry, Mapping) else ():
            words = str(key).split()
            name = f"{above}/{words[-1]}" if above else words[-1]
            folder = _conf() / name.partition("@")[0]
            if words[0] not in ("optional", "override") and folder.is_dir():
                yield Group(name, str(default or "none"), _choices(folder))
                chosen = f"{name.partition('@')[0]}/{default}.yaml"
                if (_conf() / chosen).is_file():
                    yield from groups_of(chosen, name.partition("@")[0])


def keys_of(tree: str, above: str = "") -> Iterator[Key]:
    """Yield the keys of a YAML file that hold values.

    Args:
        tree: path of the file, relative to conf/.
        above: prefix of their names.
    """
    text = (_conf() / tree).read_text()
    lines = text.splitlines()
    for name, key, value in _leaves(yaml.compose(text), above):
        comment = _COMMENT.search(lines[value.end_mark.line] if value.end_mark.column else lines[key.start_mark.line])
        yield Key(name, " ".join(_written(value, text).split()), comment[1] if comment else "")


def _choices(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def _leaves(node: Any, above: str) -> Iterator[tuple[str, Any, Any]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = f"{above}{key.value}"
        if key.value in ("defaults", "_target_", "_partial_"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, key, value


def _written(value: Any, text: str) -> str:
    return text[value.start_mark.index : value.end_mark.index]


def _print(console: Console, first: str, last: str, rows: list[Any]) -> None:
    table = Table(Column(first, no_wrap=True), "default", last, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(text) for text in row))
    console.print(table)


def _loaded(tree: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((_conf() / tree).read_text())
    return loaded


def _conf() -> Path:
    return Path(str(files("hrda_lit.conf")))
