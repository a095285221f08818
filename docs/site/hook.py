"""Make a site of the pages under docs/, whose links also work in the repository.

Pages are written for the repository: they link to any file of it by its relative path, and formulas are what stands in
a fence `math` or between $` and `$. Here

- README.md becomes the first page, CONTRIBUTING.md and SECURITY.md pages of their own;
- each room of the library gets a page of reference, made from its docstrings;
- a link to a source file becomes one to the reference, of the very function if the link's text is its name;
- a link to any other file leads to a page that shows it;
- formulas become MathML, which browsers render, in the font STIX Two Math (SIL Open Font License), copied from ziamath.
"""

import posixpath
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ziamath
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "hrda_lit"
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "SECURITY.md": "SECURITY.md"}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s:#]+)(?P<anchor>#[^()\s]*)?\)")
KINDS = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
TEXT = {*KINDS, ".md", ".txt", ".json"}  # the files of a folder that a page shows
FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n"


def on_config(config: MkDocsConfig) -> None:
    """Enter the pages of the reference into the navigation."""
    [reference] = [part for part in config.nav or [] if "Reference" in part]
    reference["Reference"] = [{room: f"reference/{room}.md"} for room in rooms()]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are made of other files of the repository."""
    pages = {uri: (ROOT / path).read_text() for path, uri in PAGES.items()}
    pages |= {f"reference/{room}.md": reference(room, modules) for room, modules in rooms().items()}
    for page in [*PAGES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]:
        pages |= {shown_at(path): shown(ROOT / path) for path in linked(page) if kind(path) == "shown"}
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    files.append(File.generated(config, f"site/{FONT.name}", abs_src_path=str(FONT)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links and formulas of the repository into those of the site."""
    uri = page.file.src_uri
    if uri.startswith(("reference/", "files/")):
        return markdown
    home = {made: path for path, made in PAGES.items()}.get(uri, f"docs/{uri}")
    text = outside_fences(lambda part: LINK.sub(lambda link: for_site(link, home, uri), part), markdown)
    return formulas(text)


def rooms() -> dict[str, list[str]]:
    """List the modules of each room: the packages of the library, its commands, and the scripts."""
    found = {"commands": [f"hrda_lit.{path.stem}" for path in sorted(PACKAGE.glob("[a-z]*.py"))]}
    for room in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        found[room.name] = [f"hrda_lit.{room.name}.{path.stem}" for path in sorted(room.glob("[a-z]*.py"))]
    return found | {"scripts": [f"scripts.{path.stem}" for path in sorted((ROOT / "scripts").glob("[a-z]*.py"))]}


def reference(room: str, modules: list[str]) -> str:
    """Write the page of a room, which mkdocstrings fills."""
    package = {"commands": "hrda_lit", "scripts": "scripts"}.get(room, f"hrda_lit.{room}")
    intro = f"::: {package}\n    options:\n      members: false\n      show_root_heading: false\n"
    return "\n".join([f"# {room}\n", intro, *(f"::: {module}\n" for module in modules)])


def kind(path: str) -> str:
    """Tell what stands for a file of the repository in the site: page, reference, room, shown, or nothing."""
    if path in PAGES or path.startswith("docs/"):
        return "page"
    if path.startswith("src/hrda_lit") or (path.startswith("scripts/") and path.endswith(".py")):
        return "reference" if path.endswith(".py") else "room"
    return "shown" if (ROOT / path).exists() else "nothing"


def linked(page: str) -> Iterator[str]:
    """List the files that a page of the repository links to, by their paths in it."""
    for link in LINK.finditer(FENCE.sub("", (ROOT / page).read_text())):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(page), link["target"]))


def shown_at(path: str) -> str:
    """Return where the page lies that shows a file."""
    return f"files/{path.replace('.', '_')}.md"


def shown(path: Path) -> str:
    """Write the page that shows a file, or all text files below a folder."""
    below = sorted(path.rglob("*.*")) if path.is_dir() else [path]
    inside = [file for file in below if file.suffix in TEXT and "__" not in file.name]
    name = path.relative_to(ROOT).as_posix()
    blocks = [
        f"## {file.relative_to(ROOT).as_posix()}\n\n```{KINDS.get(file.suffix, 'text')}\n{file.read_text()}```\n"
        for file in inside
    ]
    return UNSEARCHED + "\n".join([f"# {name}\n", *blocks])


def for_site(link: re.Match[str], home: str, uri: str) -> str:
    """Rewrite one link of the page that lies at `home` in the repository and at `uri` in the site."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(home), link["target"]))
    match kind(path):
        case "page":
            target = PAGES.get(path, path.removeprefix("docs/"))
        case "reference":
            return f"[{link['text']}][{named(link['text'], path)}]"
        case "room":
            target = f"reference/{path.removeprefix('src/hrda_lit').strip('/') or 'commands'}.md"
        case "shown":
            target = shown_at(path)
        case _:
            return link[0]
    return f"[{link['text']}]({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{link['anchor'] or ''})"


def named(text: str, path: str) -> str:
    """Return the name that the reference has for a link to a source file: its function's, or its module's."""
    module = path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module}.{text.strip('`')}" if re.fullmatch(r"`[A-Za-z]\w*(\.\w+)?`", text) else module


def formulas(text: str) -> str:
    """Write MathML for the formulas of a page."""

    def block(found: re.Match[str]) -> str:
        return f'<div class="formula">{convert(textwrap.dedent(found[1]).strip(), display="block")}</div>'

    def inline(found: re.Match[str]) -> str:
        return f"<span>{convert(found[1])}</span>"

    text = re.sub(r"^```math\n(.*?)^```$", block, text, flags=re.MULTILINE | re.DOTALL)
    return outside_fences(lambda part: re.sub(r"\$`([^`]+)`\$", inline, part), text)


def outside_fences(change: Callable[[str], Any], text: str) -> str:
    """Change what stands outside fenced blocks."""
    made, end = [], 0
    for fence in FENCE.finditer(text):
        made += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*made, change(text[end:])])
