"""`--help` is made of the YAML files: their keys, defaults and comments."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hrda_lit.config import help as page
from hrda_lit.system.text import PlainConsole


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.setattr(page, "_conf", lambda: tmp_path)

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    return write


def test_keys_have_their_default_and_their_comment(conf: Callable[[str, str], None]) -> None:
    conf("a.yaml", "# head\nlr: 6.0e-5 # of the encoder\ndeep: { crop: [64, 32], on: true } # both\nnone: null\n")
    assert list(page.keys_of("a.yaml", "optim.")) == [
        ("optim.lr", "6.0e-5", "of the encoder"),
        ("optim.deep.crop", "[64, 32]", "both"),
        ("optim.deep.on", "true", "both"),
        ("optim.none", "null", ""),
    ]


def test_groups_are_those_of_the_defaults_list(conf: Callable[[str, str], None]) -> None:
    head = "defaults:\n  - _self_\n  - data@source: one\n  - extra: null\n  - optional local: default\n"
    conf("train.yaml", head + "hydra: { help: { header: 'Train [x].' } }\nextra: null # a choice\n")
    conf("data/one.yaml", "size: 3 # pixels\n")
    conf("data/two.yaml", "size: 4\n")
    conf("extra/e.yaml", "")
    assert list(page.groups_of("train.yaml")) == [("data@source", "one", ["one", "two"]), ("extra", "none", ["e"])]
    page.show("train", PlainConsole(file=(out := io.StringIO()), width=80))
    said = out.getvalue()
    assert said.startswith("Train [x].")
    assert re.search(r"source.size +3 +pixels", said)
    assert "a choice" not in said  # told by the choices


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "inspect", "init"])
def test_every_command_has_a_page(command: str) -> None:
    page.show(command, PlainConsole(file=(out := io.StringIO()), width=80))
    assert f"python -m hrda_lit.{command}" in out.getvalue()
    assert "…" not in out.getvalue(), "a name or default is cut off"
    assert ("method" in out.getvalue()) == (command in ("train", "inspect"))


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "init"])
def test_every_key_has_a_meaning(command: str) -> None:
    tree = f"{command}.yaml"
    keys = page.keys_shown([tree], list(page.groups_of(tree)))
    assert len(keys) > 8
    assert [key.name for key in keys if not key.meaning] == []


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_no_key_is_broken_at_80_columns(command: str) -> None:
    page.show(command, PlainConsole(file=(out := io.StringIO()), width=80))
    tree = f"{command}.yaml"
    groups = list(page.groups_of(tree))
    words = set(out.getvalue().split())
    assert [name for name in (key.name for key in page.keys_shown([tree], groups)) if name not in words] == []
    assert [group.name for group in groups if group.name not in words] == []
