"""The pages: what they link to exists, formulas have their code, and the site shows every page."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.methods.base import supervise
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.segmentor import Output, TrainingOutput
from tests.documented import PAGES, ROOT

LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s:]+)\)")
FORMULAS = [ROOT / "docs" / name for name in ("formulas.md", "losses_ko.md")]


class Link(NamedTuple):
    """A link to a file of the repository, as it stands on a page."""

    text: str
    path: Path
    anchor: str


def links(page: Path, text: str) -> Iterator[Link]:
    for found in LINK.finditer(FENCE.sub("", text)):
        target, _, anchor = found["target"].partition("#")
        yield Link(found["text"], (page.parent / target).resolve() if target else page, anchor)


def anchors(page: Path) -> set[str]:
    """Return what headings are called in links: lower case, without punctuation, blanks as hyphens."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}


def found(link: Link) -> Any:
    """Return the object that a link to a source file names by its text."""
    module = link.path.relative_to(ROOT / "src").with_suffix("").as_posix().replace("/", ".")
    thing = importlib.import_module(module)
    for name in link.text.strip("`").split("."):
        thing = getattr(thing, name)
    return thing


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page, page.read_text()):
        assert link.path.exists(), f"{page.name} links to {link.path}, which is not there"
        if link.anchor:
            assert link.anchor in anchors(link.path), f"{page.name}: {link.path.name} has no heading {link.anchor}"


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_linked_names_are_defined_where_the_link_leads(page: Path) -> None:
    for link in links(page, page.read_text()):
        if link.path.suffix == ".py" and ROOT / "src" in link.path.parents and re.fullmatch(r"`[\w.]+`", link.text):
            assert Path(inspect.getfile(inspect.unwrap(found(link)))) == link.path, link.text


@pytest.mark.parametrize("page", FORMULAS, ids=lambda page: page.name)
def test_every_formula_is_followed_by_its_code(page: Path) -> None:
    after = re.split(r"^```math\n.*?^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)[1:]
    assert len(after) >= 10
    for part, following in zip(after, [*after[1:], ""], strict=True):
        text = part if part.strip() else following  # two formulas of the same code
        named = [link for link in links(page, text) if ROOT / "src" in link.path.parents]
        assert named, f"no code follows the formula before {part.strip()[:60]!r}"


def test_every_page_is_in_the_site() -> None:
    text = re.sub(r"!!python\S+", "", (ROOT / "mkdocs.yml").read_text())
    sections = [pages for part in yaml.safe_load(text)["nav"] for pages in part.values()]
    listed = {name for pages in sections for name in pages} - {"index.md", "CONTRIBUTING.md", "SECURITY.md"}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == listed


def test_the_loss_that_the_korean_page_writes_out_is_that_of_a_training() -> None:
    text, names = (ROOT / "docs" / "losses_ko.md").read_text(), dict[str, Any]()
    torch.manual_seed(0)
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, "losses_ko.md", "exec"), names)
    detail, box = names["detail"], names["detail_box"]
    fused = MultiResFusion(0.5)(names["context"], names["attention"], detail, box.divided(4), 2)
    outputs = [Output(fused, None, 0.9), Output(detail, box, 0.1)]
    expected = supervise(TrainingOutput(outputs, fused), names["label"], CITYSCAPES)
    assert names["loss"] == pytest.approx(float(expected))
    assert names["weight"].unique().tolist() == [0, float(names["pseudo"].q)]
