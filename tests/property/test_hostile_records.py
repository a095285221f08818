"""Damaged and hostile records of runs: tables and pictures over many runs pass them over and show the others."""

import json
import random
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hrda_lit.pictures.figures import encode
from hrda_lit.system.table import as_text
from hrda_lit.tables import results as tables
from hrda_lit.tables import sweeps
from hrda_lit.tables.groups import class_table, classes
from hrda_lit.tables.plots import draw_curves
from hrda_lit.tables.records import Results
from hrda_lit.tables.results import gather_curves

pytestmark = pytest.mark.slow

CASES = 300  # see docs/faults.md
DEEP = 10_000
RECORDS = ("metrics.json", "job.json", "failure.json", "metrics.csv", ".hydra/overrides.yaml")
TRAINED = {"name": "hrda", "val/miou": 0.5, "val/iou": {"road": 0.5, "sky": None}, "seed": 0, "kind": "adaptation",
           "data": {"source": "a", "target": "b", "val": "b"}}  # fmt: skip
SCORED = {"kind": "oracle", "experiment": "x", "sets": {"val": "b"}, "checkpoint": "runs/x/checkpoints/last.ckpt",
          "datasets": {"val": {"fused": {"miou": {"mIoU": 0.25}}}}}  # fmt: skip
MARKS = ["", "\x1b[2J", "[/x]", "[bold]", "a\nb", "\r", "$\\x$", "\ud800", "\u202e", "|", "=", "~"]
TEXTS = [*MARKS, "9" * 400, "../x", "seed="]
BYTES = [b"\xff", b"\0", b"!!python/object:os.system ", b'"', b"&a [*a]"]
VALUES: list[Any] = [None, True, -1, 7, 1e300, float("nan"), float("inf"), 10**400, [], [[]], {}, {"": {}}, *TEXTS]


def write_run(folder: Path, number: int = 0) -> None:
    """Write every record that a finished job of a sweep leaves, and an evaluation of it."""
    sweeps.begin_job(folder, number, [f"tau=0.{number}", "seed=0"])
    sweeps.fail_job(folder, "no reason")
    (folder / "metrics.json").write_text(json.dumps(TRAINED))
    (folder / "metrics.csv").write_text("step,val/miou,train/pseudo/q\n9,0.5,\n19,,0.25\n")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(f"- tau=0.{number}\n- seed=0\n")
    (folder / "evaluated").mkdir()
    (folder / "evaluated" / "metrics.json").write_text(json.dumps(SCORED))


def damage(path: Path, rng: random.Random) -> None:
    """Replace a record by one of many kinds of damage."""
    old = path.read_bytes()
    how = rng.randrange(9)
    if how == 0:
        path.unlink()
        path.mkdir()
    elif how == 1:
        opening = rng.choice("[{-&!*") if path.suffix == ".yaml" else rng.choice(["[", '{"a":'])
        path.write_text(opening * DEEP)
    elif how == 2:
        path.write_bytes(old[: rng.randrange(len(old))])
    elif how == 3:
        path.write_bytes(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 80))))
    elif how == 4:
        at = rng.randrange(len(old))
        path.write_bytes(old[:at] + rng.choice(BYTES) + old[at:])
    elif how == 5:
        path.write_text("".join(rng.choice(string.printable) for _ in range(rng.randrange(200))))
    elif path.suffix == ".json":
        content = json.loads(old)
        node, key = rng.choice(list(places(content)))
        node[key] = rng.choice(VALUES)
        path.write_text(json.dumps(content))
    elif path.suffix == ".csv":
        rows = [line.split(",") for line in old.decode().split("\n")]
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice(["nan", "1e999", "-5", "9" * 300, "x", '"', "step"])
        path.write_text("\n".join(",".join(row) for row in rows))
    else:
        path.write_text("\n".join(f"- {json.dumps(rng.choice(VALUES))}" for _ in range(3)))


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a tree with each of its keys."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield node, key
            yield from places(value)


def show_all(folder: Path, drawn: bool) -> tuple[str, Results]:
    """Return everything that tables over the runs of a folder print, and draw every picture."""
    sweep = sweeps.write(folder) if drawn else sweeps.read_jobs(folder)
    results = Results.below([folder])
    found, rows = tables.trainings(results), tables.evaluations(results)
    curves = {"val/miou": gather_curves(found, "val/miou", results)}
    if drawn:
        encode(draw_curves(curves))
    groups = list(found.values())
    shown = [tables.training_table(groups), class_table(found, classes(groups))]
    parts = [*sweeps.report(sweep), *shown, tables.evaluation_table(rows), *results.notes()]
    markdown = [part.as_markdown() for part in parts if not isinstance(part, str)]
    return as_text(*parts) + "\n".join(markdown), results


def check(seed: int, folder: Path) -> None:
    rng = random.Random(seed)
    write_run(folder / "good", 1)
    write_run(folder / "bad", 2)
    for name in rng.sample(RECORDS, rng.choice([1, 1, 2])):
        damage(folder / "bad" / name, rng)
    text, results = show_all(folder, drawn=seed % 10 == 0)
    assert folder / "good" / "metrics.json" in results.metrics
    assert "50.0" in text, "the good run is shown"
    assert all(sign.isprintable() or sign == "\n" for sign in text), "nothing moves the cursor"
    shutil.rmtree(folder)


def test_a_damaged_record_costs_nothing_but_itself(tmp_path: Path) -> None:
    for seed in range(CASES):
        check(seed, tmp_path / str(seed))


@pytest.mark.thorough
def test_five_thousand_damaged_records(tmp_path: Path) -> None:
    for seed in range(CASES, CASES + 5000):
        check(seed, tmp_path / str(seed))
