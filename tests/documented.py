"""The commands that README and docs print, and the YAML files they print for them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ASIDE = re.compile(r"`((?:python -m hrda_lit|python scripts/|hrda-)[^`]*)`")
_FILE = re.compile(r"`(?:mine/(\w+)/)?(\w+\.yaml)`")


class Printed(NamedTuple):
    """A command of a page: a module or script, and its arguments."""

    page: str
    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.program} {shlex.join(self.arguments)}"


def commands() -> list[Printed]:
    """List every command of the library in blocks for a shell and in running text."""
    found = [command for page in PAGES for command in _of_page(page)]
    return [command for command in dict.fromkeys(found) if command.arguments]  # not mere names in running text


def _of_page(page: Path) -> Iterator[Printed]:
    text = page.read_text()
    for language, block in _BLOCK.findall(text):
        if language == "bash":
            yield from _of_lines(page, block)
    for aside in _ASIDE.findall(_BLOCK.sub("", text)):
        yield from _of_lines(page, aside)


def _of_lines(page: Path, text: str) -> Iterator[Printed]:
    given: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if made := re.fullmatch(r'(\w+)="([^"]*)"', line):
            given[made[1]] = made[2]
        for name, value in given.items():
            line = line.replace(f"${name}", value)
        # What a reader fills in.
        line = re.sub(r"\$\w+|<[^>]*>", "given", line).replace("…", "given")
        yield from _of_words(page, shlex.split(line, comments=True))


def _of_words(page: Path, words: list[str]) -> Iterator[Printed]:
    if "&&" in words:
        at = words.index("&&")
        yield from _of_words(page, words[:at])
        yield from _of_words(page, words[at + 1 :])
        return
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:2] == ["python", "-m"] and words[2].startswith("hrda_lit."):
        yield Printed(page.name, words[2], tuple(words[3:]))
    elif words[:1] == ["python"] and words[1].startswith("scripts/"):
        yield Printed(page.name, f"hrda_lit.scripts.{Path(words[1]).stem}", tuple(words[2:]))
    elif words and words[0].startswith("hrda-"):
        yield Printed(page.name, words[0].replace("hrda-", "hrda_lit."), tuple(words[1:]))


def jobs(arguments: tuple[str, ...]) -> list[list[str]]:
    """Return the overrides of single runs in which every value of a sweep occurs."""
    parser, choices = OverridesParser.create(), []
    for argument in arguments:
        override = parser.parse_override(argument)
        if override.is_sweep_override() and override.is_choice_sweep():
            key = override.get_key_element()
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
            choices.append(values[:1] if key == "seed" else values)  # any is as good as another
        elif override.is_sweep_override():
            choices.append([f"{override.get_key_element()}={override.value().start}"])
        else:
            choices.append([argument])
    longest = max(map(len, choices), default=1)
    return [[choice[min(number, len(choice) - 1)] for choice in choices] for number in range(longest)]


def write_yaml(page: str, folder: Path) -> None:
    """Write the files of the folder that a page calls `mine`, as they stand there."""
    text, end = (ROOT / page).read_text(), 0
    waiting: list[str] = []
    for block in _BLOCK.finditer(text):
        before = text[end : block.start()].strip()
        end = block.end()
        if before:
            named = _FILE.findall(before.rpartition("\n\n")[2])
            waiting = [f"{group or named[0][0]}/{name}" for group, name in named]
        if block[1] == "yaml" and waiting:
            path = folder / waiting.pop(0)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block[2])
