"""Names of runs, datasets, classes and files, of every odd kind: they stay in their folder, or one sentence."""

import random
from collections.abc import Callable
from itertools import count as numbers
from pathlib import Path

import pytest

from hrda_lit.data.classes import classes_from
from hrda_lit.data.folder import FolderDataset
from hrda_lit.predicting.output import PredictionFolder
from hrda_lit.predicting.submission import Rules
from hrda_lit.system.errors import format_error
from hrda_lit.system.files import write_atomically
from hrda_lit.system.paths import below
from hrda_lit.system.table import Table, as_csv, as_text

CASES, MANY = 400, 5000  # in the default run and in the thorough one; see docs/faults.md
LONGEST = 600  # characters of a sentence
PIECES = [
    "a", "B", "run", "0", "-", "--help", ".", "..", "...", " ", "/", "\\", "//", "../", "..\\", "~", "C:",
    "C:\\", ":", "*", "?", "[x]", "{split}", "{", "<", ">", "|", '"', "'", "`", "$HOME", "${x}", "%s", "%n",
    "#", "&", ";", "=", ",", "@", "!", "\n", "\r", "\t", "\0", "\x1b[2J", "\x7f", "\x85", "[bold]", "[/x]",
    "<b>", "CON", "nul", "aux.png", "LPT1", "COM1.txt", ".png", ".part", ".lock", "é", "e\u0301", "ß", "İ",
    "日本", "\u202e", "\u200b", "\ufeff", "\u2028", "\U0001f600", "\ud800", "\udcff", "x" * 100, "日" * 100,
    "\\x41", "null", "off", "012", "1e3", "nan",
]  # fmt: skip
Check = Callable[[str, Path], Path | None]


def run_folder(name: str, root: Path) -> Path:
    return below(root, name, "name") / "config.yaml"


def cache_of_a_dataset(name: str, root: Path) -> Path:
    rule = {"images/": "labels/"}
    made = FolderDataset(name=name, root=str(root), images="images/*.png", label_rule=rule, classes="cityscapes")
    return root / f"{made.name}.json"


def archive(name: str, root: Path) -> Path:
    return root / f"{Rules(name=name, split='test', count=1, size=(4, 4), ids='train').name}.zip"


def prediction(name: str, root: Path) -> Path:
    return PredictionFolder(root, ["label"]).path("label", name)


def class_in_tables(name: str, root: Path) -> None:
    table = Table(["class", name], title=name)
    table.add(*classes_from({"names": [name, "another class"]}).names)
    shown = as_text(table)
    assert all(sign.isprintable() or sign == "\n" for sign in shown)
    assert len(table.as_markdown().splitlines()) == 3
    as_csv(table.rows).decode()


CHECKS: list[Check] = [run_folder, cache_of_a_dataset, archive, prediction, class_in_tables]


def complaint(check: Check, name: str, root: Path) -> str | None:
    """Return what is wrong with how a name is taken or refused, or None."""
    what = f"{check.__name__} {name!r:.200}"
    try:
        path = check(name, root)
        if path is not None:
            write_atomically(path, b"x")
    except (ValueError, OSError) as error:
        said = format_error(error)
        if len(said) - len(str(root)) > LONGEST or "\n" in said or not said.isprintable() or "codec" in said:
            return f"{what}: {said}"
        return None
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    if path is not None and (not path.is_file() or not path.resolve().is_relative_to(root.resolve())):
        return f"{what}: {path} is not below its folder"
    return None


@pytest.mark.parametrize("count", [pytest.param(CASES, id="some"), pytest.param(MANY, marks=pytest.mark.thorough)])
def test_odd_names_work_or_are_one_sentence(count: int, tmp_path: Path) -> None:
    rng, number = random.Random(count), numbers()
    complaints = []
    for _ in range(count):
        name = "".join(rng.choice(PIECES) for _ in range(rng.choice([1, 1, 2, 2, 3, 4])))
        root = tmp_path / str(next(number))
        root.mkdir()
        complaints += [said for check in CHECKS if (said := complaint(check, name, root))]
    assert not complaints, "\n".join(complaints[:40])
    assert all(path.name.isdecimal() for path in tmp_path.iterdir()), "nothing is written beside"
