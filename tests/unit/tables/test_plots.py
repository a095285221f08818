"""Curves over training steps, from the files that runs leave; names are text, whatever they hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.pictures.figures import encode
from hrda_lit.tables.groups import group_by_seed
from hrda_lit.tables.plots import draw_curves, draw_sweep
from hrda_lit.tables.records import Results, RunRecord
from hrda_lit.tables.results import gather_curves, trainings
from tests.scripts import run_script

pytestmark = pytest.mark.slow


def write(folder: Path, name: str, rows: list[tuple[int, str, str]]) -> Path:
    """Write what a run leaves: rows of step, train/pseudo/q and val/miou."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"name": name, "val/miou": 0.5, "val/iou": {"road": 0.5}}))
    lines = ["epoch,step,train/pseudo/q,val/miou", *(f"0,{step},{q},{miou}" for step, q, miou in rows)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_values_are_gathered_at_the_steps_that_all_runs_have(tmp_path: Path) -> None:
    write(tmp_path / "0", "hrda", [(9, "0.25", ""), (19, "0.5", ""), (19, "", "0.3")])
    write(tmp_path / "1", "hrda", [(9, "0.75", ""), (19, "", "0.4"), (29, "0.9", "")])
    results = Results.below([tmp_path])
    found = trainings(results)
    assert gather_curves(found, "train/pseudo/q", results) == {"hrda": {10: [0.25, 0.75]}}
    assert gather_curves(found, "val/miou", results) == {"hrda": {20: [0.3, 0.4]}}
    assert gather_curves(found, "train/loss/masked", results) == {"hrda": {}}
    assert results.damaged == []


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n", "step,val/miou\nx,0.5\n", f"step,val/miou\n{9**40},0.5\n"])
def test_a_run_whose_numbers_cannot_be_read_is_passed_over(content: str | None, tmp_path: Path) -> None:
    write(tmp_path / "0", "hrda", [(9, "", "0.3")])
    path = write(tmp_path / "1", "hrda", []) / "metrics.csv"
    path.unlink()
    if content is not None:
        path.write_text(content.replace("a,b", "a,val/miou"))
    results = Results.below([tmp_path])
    assert gather_curves(trainings(results), "val/miou", results) == {"hrda": {10: [0.3]}}
    [note] = results.damaged
    assert str(path) in note


def test_a_run_that_did_not_log_a_number_costs_the_others_nothing(tmp_path: Path) -> None:
    write(tmp_path / "0", "hrda", [(9, "", "0.3")])
    write(tmp_path / "1", "hrda", [(9, "0.5", "")])
    results = Results.below([tmp_path])
    assert gather_curves(trainings(results), "val/miou", results) == {"hrda": {10: [0.3]}}


def test_many_long_names_leave_room_for_the_curves() -> None:
    lines = {f"hrda_experiment, lambda_d={index}, tau=0.9": {1: [0.1], 50: [0.2]} for index in range(24)}
    figure = draw_curves({"val/miou": lines})
    encode(figure)
    assert figure.axes[0].get_position().height * figure.get_figheight() > 2  # inches
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(styles) == 24


def test_runs_are_found_with_their_folders(tmp_path: Path) -> None:
    folders = [write(tmp_path / str(seed), "hrda", []) for seed in range(2)]
    (other,) = [write(tmp_path / "deep" / "er", "daformer", [])]
    found = trainings(Results.below([tmp_path]))
    assert {title: [run.folder for run in group.runs] for title, group in found.items()} == {
        "hrda": folders, "daformer": [other],
    }  # fmt: skip


def test_formulas_and_huge_numbers_in_names_are_drawn_as_text() -> None:
    for values in (["$\\x$", "b"], ["1e400", "2"], ["9" * 50, "1"], ["nan", "1"], ["\ud800", "\x1b[2J"]):
        runs = [RunRecord(n, {"$tau$": value, "seed": "0"}, 0.5) for n, value in enumerate(values)]
        encode(draw_sweep(group_by_seed(runs)))
        encode(draw_sweep(group_by_seed([RunRecord(0, {"a": v, "b": w}, 0.5) for v in values for w in "12"])))
    encode(draw_curves({"val/miou": {"$\\x$": {1: [0.1]}}}))


def test_every_training_has_its_colour_and_spread_makes_a_band() -> None:
    lines = {"a": {1: [0.1, 0.3], 50: [0.2, 0.2]}, "b": {}, "c": {1: [0.5, 0.5], 50: [0.6, 0.6]}}
    [axes] = draw_curves({"val/miou": lines}).axes
    assert [(line.get_label(), list(line.get_ydata())) for line in axes.lines] == [
        ("a", pytest.approx([20, 20])), ("c", pytest.approx([50, 60])),
    ]  # fmt: skip
    assert axes.get_ylabel() == "percent"
    assert [line.get_color() for line in axes.lines] == ["C0", "C2"]  # the same in every panel
    heights = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert np.ptp(heights[0]) == pytest.approx(2 * 100 * 0.1 * 2**0.5)
    assert np.ptp(heights[1]) == pytest.approx(10), "equal seeds have no spread"


def test_the_command_draws_and_refuses(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "0", "hrda", [(9, "0.5", ""), (9, "", "0.3")])
    output = tmp_path / "curves.png"
    for arguments, message in (
        ([str(tmp_path / "none")], "no run below"),
        ([str(tmp_path / "runs"), "--numbers", "train/loss/masked"], "train/loss/masked"),
    ):
        refused = run_script("plot_curves", output, *arguments)
        assert refused.returncode == 2
        assert message in refused.stderr
    assert not output.exists()
    done = run_script("plot_curves", output, tmp_path / "runs")
    assert "val/miou, train/pseudo/q of 1 run" in done.stdout, done.stderr
    assert Image.open(output).width > 1000
    vectors = run_script("plot_curves", tmp_path / "curves.svg", tmp_path / "runs")
    assert vectors.returncode == 0, vectors.stderr
    assert "<svg" in (tmp_path / "curves.svg").read_text()
    assert "curves.jpg" in run_script("plot_curves", "curves.jpg", tmp_path).stderr
