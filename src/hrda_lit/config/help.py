"""Print `--help`: choices and keys of a command, with defaults and comments from the YAML files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich import box
from rich.table import Column, Table

from hrda_lit.system.text import PlainConsole

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

    @property
    def folder(self) -> str:
        """Return its folder in conf/."""
        return self.name.partition("@")[0]

    @property
    def package(self) -> str:
        """Return the dotted key that it sets."""
        return self.name.rpartition("@")[2].replace("/", ".")

    @property
    def file(self) -> str:
        """Return the path of its choice, relative to conf/."""
        return f"{self.folder}/{self.default}.yaml"


def show(config_name: str, console: PlainConsole | None = None) -> None:
    """Print the help of a command, e.g. "train", to a console or the screen."""
    console = console or PlainConsole()
    tree = _load(f"{config_name}.yaml")
    trees = [f"{entry}.yaml" for entry in (config_name, *tree["defaults"])]
    trees = [path for path in trees if _is_file(path)]
    groups: list[Group] = []
    for path in trees:
        groups += groups_of(path)
    for line in tree["hydra"]["help"]["header"].splitlines():
        console.print(line, soft_wrap=True)
    _print(console, "choice", "of", [(name, default, ", ".join(choices)) for name, default, choices in groups])
    _print(console, "key", "meaning", keys_shown(trees, groups))
    console.print(
        "Set them by choice=... and key=...; --cfg job prints the whole config, --hydra-help what Hydra itself "
        "knows, -sc install=bash completes words.",
        soft_wrap=True,
    )


def keys_shown(trees: Sequence[str], groups: Sequence[Group]) -> list[Key]:
    """Return the keys of a command and of what its groups choose; those of datasets once."""
    packages = {group.package for group in groups}
    keys: list[Key] = []
    for tree in trees:
        keys += [key for key in keys_of(tree) if not key.name.startswith("hydra.") and key.name not in packages]
    folders = set()
    for group in groups:
        if group.folder not in folders and _is_file(group.file):
            folders.add(group.folder)
            chosen: dict[str, Key] = {}
            _add_keys(chosen, group.file, f"{group.package}.")
            keys += chosen.values()
    return keys


def _add_keys(keys: dict[str, Key], path: str, above: str) -> None:
    """Add the keys of a choice and of the files it builds on; the last default and meaning count."""
    for entry in _load(path).get("defaults", ()):
        if isinstance(entry, str) and entry != "_self_":
            _add_keys(keys, f"{path.rpartition('/')[0]}/{entry}.yaml", above)
    for key in keys_of(path, above):
        known = keys.get(key.name, key)
        keys[key.name] = key._replace(meaning=key.meaning or known.meaning)


def groups_of(tree: str, above: str = "") -> Iterator[Group]:
    """Yield the groups of a defaults list that have choices, and those of the chosen files.

    `tree` is the path of the file below conf/, `above` the prefix of its groups, e.g. "network/".
    """
    for entry in _load(tree).get("defaults", ()):
        for key, default in entry.items() if isinstance(entry, Mapping) else ():
            *modes, name = str(key).split()  # "optional", "override"
            group = Group(f"{above}{name}", str(default or "none"), [])
            folder = _conf() / group.folder
            if not modes and folder.is_dir():
                found = sorted(folder.rglob("*.yaml"))
                group.choices.extend(path.relative_to(folder).with_suffix("").as_posix() for path in found)
                yield group
                if _is_file(group.file):
                    yield from groups_of(group.file, f"{group.folder}/")


def keys_of(tree: str, above: str = "") -> Iterator[Key]:
    """Yield the keys of a YAML file below conf/ that hold values; `above` is the prefix of their names."""
    text = (_conf() / tree).read_text()
    lines = text.splitlines()
    for name, key, value in _leaves(yaml.compose(text), above):
        last = value.end_mark.line if value.end_mark.column else key.start_mark.line
        comment = _COMMENT.search(lines[last])
        written = text[value.start_mark.index : value.end_mark.index]
        yield Key(name, " ".join(written.split()), comment[1] if comment else "")


def _leaves(node: Any, above: str) -> Iterator[tuple[str, Any, Any]]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = f"{above}{key.value}"
        if key.value in ("defaults", "_target_", "_partial_"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, key, value


def _print(console: PlainConsole, first: str, last: str, rows: list[Any]) -> None:
    columns = (Column(first, no_wrap=True), Column("default", overflow="fold"), Column(last, overflow="fold"))
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print("", table, "", sep="\n")


def _load(tree: str) -> dict[str, Any]:
    return yaml.safe_load((_conf() / tree).read_text()) or {}


def _is_file(tree: str) -> bool:
    return (_conf() / tree).is_file()


def _conf() -> Path:
    return Path(str(files("hrda_lit.conf")))
