"""The benchmark, small: what is counted is right, what is written is read again; times are not looked at."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hrda_lit.scripts.benchmarks import memory as options
from hrda_lit.scripts.benchmarks.measure import Counting, Row, spread
from hrda_lit.scripts.benchmarks.report import Report, compared, draw
from PIL import Image
from torch import nn

from hrda_lit.pictures.figures import decode, encode
from hrda_lit.training.options import Memory
from tests.scripts import run_script

SMOKE, SINGLE = ("experiment=hrda_demo", "debug=smoke"), ("experiment=source_only_demo", "debug=smoke")
CPU = torch.device("cpu")


def rows(path: Path) -> dict[str, dict[str, Any]]:
    content = json.loads(path.read_text())
    assert content["device"]
    return {row["name"]: row for row in content["rows"]}


def test_operators_waits_and_arithmetic_are_counted() -> None:
    layer, x, counting = nn.Linear(8, 4, bias=False), torch.rand(16, 8), Counting(CPU)
    counting.start()
    out = layer(x)
    out.sum().item()
    torch.unique(x.round())
    counting.stop()
    torch.rand(2) + 1
    row = Row("x")
    counting.write(row)
    assert row.flops == 2 * 16 * 8 * 4
    assert row.waits == 2
    assert row.operators is not None
    assert 5 <= row.operators <= 12
    assert counting.counts.peak >= out.numel() * 4


def test_attention_on_a_cpu_is_counted() -> None:
    query, counting = torch.rand(2, 3, 64, 16, requires_grad=True), Counting(CPU)
    counting.start()
    torch.nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    counting.stop()
    row = Row("x")
    counting.write(row)
    product = 2 * 2 * 3 * 64 * 64 * 16
    assert row.flops == product * (2 + 5), "two products forward; backward does one of them again"


@pytest.mark.parametrize("groups", [1, 4])
def test_convolutions_are_counted_with_their_groups(groups: int) -> None:
    layer, counting = nn.Conv2d(8, 12, 3, padding=1, groups=groups, bias=False), Counting(CPU)
    counting.start()
    layer(torch.rand(2, 8, 10, 10, requires_grad=True)).sum().backward()
    counting.stop()
    once = 2 * 2 * 12 * 10 * 10 * (8 // groups) * 9
    assert counting.counts.flops == 3 * once


@pytest.mark.slow
@pytest.mark.parametrize("modes", [("eager", "graphs"), pytest.param((), marks=pytest.mark.thorough)])
def test_a_step_is_measured_in_every_mode(modes: tuple[str, ...], tmp_path: Path) -> None:
    out, picture = tmp_path / "step.json", tmp_path / "cost.png"
    words = ("--steps", 1, "--warmup", 0, "--batches", 1, 2, "--json", out, "--picture", picture)
    words += ("--modes", *modes) if modes else ()
    done = run_script("benchmark", "step", *SMOKE, *words)
    assert done.returncode == 0, done.stderr
    made = rows(out)
    assert len(made) == 2 * (len(modes) or 3)
    row = made["eager, crop 128 x 128, batch 2"]
    assert len(row["seconds"]) == 1
    passes = {f"{name}, {way}" for name in ("source", "mixed") for way in ("forward", "backward")}
    assert set(row["parts"]) == {*passes, "teacher labels", "all else"}
    assert all(len(seconds) == 1 for seconds in row["parts"].values())
    assert row["samples"] == 2
    one = made["eager, crop 128 x 128, batch 1"]
    assert row["flops"] == pytest.approx(2 * one["flops"], rel=0.1)
    assert one["memory"] < row["memory"] < 2 * one["memory"]
    assert row["operators"] > 1000
    assert not made["graphs, crop 128 x 128, batch 2"]["seconds"]
    assert "need a CUDA device" in made["graphs, crop 128 x 128, batch 2"]["note"]
    assert "images/s" in done.stdout
    assert Image.open(picture).width > 400
    again = run_script("benchmark", "--compare", out, out)
    assert again.returncode == 0, again.stderr
    assert "1.00" in again.stdout


@pytest.mark.slow
def test_the_loader_is_measured_on_files_made_for_it(tmp_path: Path) -> None:
    out = tmp_path / "data.json"
    words = ("data.crop=[64,64]", "--side", 96, 128, "--steps", 2, "--workers", 0, 1, "--json", out)
    done = run_script("benchmark", "data", *words)
    assert done.returncode == 0, done.stderr
    made = rows(out)
    assert [row["settings"]["workers"] for row in made.values()] == [0, 1]
    assert all(len(row["seconds"]) == 2 and row["samples"] == 4 for row in made.values())
    parts = made["in the training process"]["parts"]
    assert {"read a source file, image and label", "a source crop", "a target crop"} == set(parts)


@pytest.mark.slow
def test_every_way_to_predict_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "infer.json"
    done = run_script("benchmark", "infer", *SINGLE, "--side", 64, 96, "--steps", 1, "--warmup", 0, "--json", out)
    assert done.returncode == 0, done.stderr
    made = {row["settings"]["inference"]: row for row in rows(out).values()}
    assert {"slide", "tta", "whole"} <= set(made)
    assert made["tta"]["flops"] > made["slide"]["flops"] > made["whole"]["flops"] > 0
    assert all(row["seconds"] and row["memory"] > 0 for row in made.values())


@pytest.mark.slow
def test_memory_options_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {"full": Memory(), "heads=recompute": Memory(heads="recompute")}
    monkeypatch.setattr(options, "OPTIONS", some)
    out = tmp_path / "memory.json"
    done = run_script("benchmark", "memory", *SINGLE, "--json", out)
    assert done.returncode == 0, done.stderr
    made = rows(out)
    assert list(made) == list(some)
    assert 0 < made["heads=recompute"]["memory"] < made["full"]["memory"]
    assert "weights" in done.stdout


def report(name: str, seconds: list[float], **settings: Any) -> Report:
    return Report("step", [Row(name, settings, seconds, samples=2, parts={"part": seconds})], "a device")


def test_reports_are_compared_by_name(tmp_path: Path) -> None:
    before, after = report("eager", [2.0, 4.0, 3.0]), report("eager", [1.5])
    for one in (before, after):
        one.write(tmp_path / "one.json")
        assert Report.read(tmp_path / "one.json") == one
    made = compared(before, after)
    assert [row[0] for row in made.rows] == ["eager", "  eager, part"]
    assert [row[3] for row in made.rows] == ["0.50", "0.50"]
    with pytest.raises(ValueError, match="no row of the same name"):
        compared(before, report("graphs", [1.0]))


def test_cost_is_drawn_over_what_differs() -> None:
    some = Report("step", [Row(f"{n}", {"mode": "eager", "crop": n}, [0.1 * n]) for n in (1, 2, 3)], "a device")
    [axes] = draw([some]).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [pytest.approx([0.1, 0.2, 0.3])]
    assert decode(encode(draw([some]), ".png")).width > 400
    assert encode(draw([some]), ".svg").startswith(b"<?xml")
    with pytest.raises(ValueError, match="give several"):
        draw([report("eager", [1.0], crop=128)])


def test_the_rate_counts_the_waits_between_bursts() -> None:
    rows = [Row("1", {"workers": 1}, [2.0]), Row("2", {"workers": 2}, [0.1, 0.1, 0.1, 1.7], samples=2)]
    assert rows[1].rate == pytest.approx(4)
    [axes] = draw([Report("data", rows, "a device")]).axes
    assert list(axes.lines[0].get_ydata()) == [pytest.approx(2.0), pytest.approx(0.25)]


def test_the_spread_leaves_out_a_tenth_on_both_sides() -> None:
    assert spread([float(n) for n in range(11)]) == (5, 1, 9)
    assert spread([2.0]) == (2, 2, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say what to measure"),
        (("step", "experiment=nothing"), "nothing"),
        (("step", "loading.batch_size=0"), "loading.batch_size=0: expected"),
        (("--compare", "none.json", "none.json"), "there is no none.json"),
        (("step", "--steps", "0"), "0 is below 1"),
        (("step", "--picture", "cost.bmp"), "cost.bmp ends in none of .png, .pdf, .svg"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], message: str) -> None:
    done = run_script("benchmark", *words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
