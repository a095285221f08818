"""Write docs/experiments.md, the table of all experiments, from the heads of their files.

    python scripts/experiments_table.py

The head of an experiment is a comment. Line 1: what it is, after a colon its published number, after a comma the
hardware. Line 2: the command. Line 3, but for drawn data: paper, table and row, after a colon whether it equals the
released row.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "docs" / "experiments.md"
HEAD = re.compile(
    r"# (?P<what>[^;]+?)(: (?P<published>[\d.]+) mIoU published)?(, (?P<hardware>(\d+ h )?on (an?|\d+) [^;]+))?"
    r"(; not measured here|; needs no data and no GPU)?\."
)
ORIGIN = re.compile(r"# (?P<table>[^:]+)(: (?P<release>.+))?\.")
FOLDERS = {
    "": "The papers' main results, what they start from and could reach, and the demo",
    "components": "Components of HRDA",
    "context_scale": "The scale of the context",
    "crop_size": "Sizes of context and detail crop",
    "lambda_d": "The weight of the detail loss",
    "methods": "Other methods and encoders, with and without HRDA",
    "mic": "The masked pass: on other methods, and its parts",
    "naive_resolution": "High resolution without HRDA",
    "foundation": "Foundation encoders",
    "multi_source": "Several sources and several targets",
}
INTRO = """# Experiments by name

An experiment is a file of a few lines in [conf/experiment](../conf/experiment). Run one with
`python -m hrda_lit.train experiment=mic_acdc data_root=/path`. Published numbers are mIoU in percent from the papers,
means of three seeds. With this library, only those of [the demo](measured_demo.md) have been measured. Experiments of
one number can also be run as a [sweep](sweeps.md): `lambda_d=0,0.1,0.2`. See [equal.md](equal.md) for the meaning of
"equals the released row", and how it is tested.
"""
TABLE = [
    "| experiment | what it is | paper, table, row | against the release | published | hardware |",
    "|---|---|---|---|---|---|",
]


class Row(NamedTuple):
    """What the head of an experiment's file says."""

    name: str
    what: str
    published: str
    hardware: str
    table: str
    release: str


def rows() -> Iterator[Row]:
    """Read the heads of all experiments, by folder and name.

    Raises:
        ValueError: if a file has another head.
    """
    root = Path(str(files("hrda_lit.conf"))) / "experiment"
    for path in sorted(root.rglob("*.yaml"), key=lambda path: (path.parent != root, str(path))):
        name, lines = path.relative_to(root).with_suffix("").as_posix(), path.read_text().splitlines()
        if (found := HEAD.fullmatch(lines[1])) is None:
            raise ValueError(f"{path} begins with {lines[1]!r}, need '# <what>: <number> mIoU published, <hardware>.'.")
        origin = ORIGIN.fullmatch(lines[3])
        more = (origin["table"], origin["release"] or "") if origin else ("", "")
        yield Row(name, found["what"], found["published"] or "", found["hardware"] or "", *more)


def page() -> str:
    """Return the text of docs/experiments.md."""
    lines, folder = [INTRO], None
    for row in rows():
        if (here := row.name.rpartition("/")[0]) != folder:
            folder = here
            lines += [f"\n## {FOLDERS[folder]}\n", *TABLE]
        cells = (f"`{row.name}`", row.what, row.table, row.release, row.published, row.hardware)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
