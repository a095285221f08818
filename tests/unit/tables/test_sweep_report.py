"""sweep.csv, sweep.txt and sweep.png from the files of jobs."""

import csv
import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hrda_lit.pictures.figures import encode
from hrda_lit.tables.groups import best, gain, group_by_seed, several_kinds
from hrda_lit.tables.plots import draw_sweep
from hrda_lit.tables.records import RunRecord
from hrda_lit.tables.sweeps import begin_job, count_jobs, fail_job, read_jobs, report, write

pytestmark = pytest.mark.slow


def rows_of(sweep: Path) -> list[dict[str, str]]:
    with open(sweep / "sweep.csv") as file:
        return list(csv.DictReader(file))


def make(sweep: Path, number: int, asked: list[str], miou: float | None) -> None:
    begin_job(sweep / str(number), number, asked)
    if miou is not None:
        result = {"val/miou": miou, "val/iou": {"road": miou, "bus": 0.0 if number == 1 else 0.5, "train": None}}
        (sweep / str(number) / "metrics.json").write_text(json.dumps(result))


def test_table_is_sorted_and_names_what_went_wrong(tmp_path: Path) -> None:
    for number, (tau, seed) in enumerate(product((0.8, 0.9, 2), (0, 1))):
        make(tmp_path, number, ["name=x", f"tau={tau}", f"seed={seed}"], None if tau == 2 else tau / 2 + seed / 10)
    fail_job(tmp_path / "4", "tau=2: expected a number in [0, 1]")
    write(tmp_path)

    rows = rows_of(tmp_path)
    assert [row["job"] for row in rows] == ["2", "3", "0", "1", "4", "5"]
    assert [row["state"] for row in rows] == ["done"] * 4 + ["failed", "unfinished"]
    assert list(rows[0])[:7] == ["job", "state", "tau", "seed", "val/miou", "mean", "spread"]
    assert [float(rows[0][key]) for key in ("val/miou", "mean", "val/iou/road")] == pytest.approx([0.45, 0.5, 0.45])
    assert float(rows[0]["spread"]) == pytest.approx(0.1 / 2**0.5)
    assert "val/iou/train" not in rows[0]
    assert (rows[4]["val/miou"], rows[4]["reason"]) == ("", "tau=2: expected a number in [0, 1]")
    text = (tmp_path / "sweep.txt").read_text()
    winner = next(line for line in text.splitlines() if "best" in line and "│" in line)
    assert "0.9" in winner
    assert "50.0 ± 7.1" in winner
    assert "job 4 (tau=2 seed=0) failed: tau=2: expected a number in [0, 1]" in text
    assert "job 5 (tau=2 seed=1) unfinished\n" in text
    assert "warning: bus collapsed in seed 1 (0.0 %) of tau=0.8 and reached 50.0 %" in text


def test_it_is_rewritten(tmp_path: Path) -> None:
    assert write(tmp_path).jobs == []
    assert not (tmp_path / "sweep.csv").exists()
    make(tmp_path, 0, ["tau=0.8"], 0.1)
    write(tmp_path)
    before = (tmp_path / "sweep.png").read_bytes()
    make(tmp_path, 1, ["tau=0.9"], 0.2)
    write(tmp_path)
    assert [row["tau"] for row in rows_of(tmp_path)] == ["0.9", "0.8"]
    assert (tmp_path / "sweep.png").read_bytes() != before


def jobs_of(**keys: list[str]) -> list[RunRecord]:
    combinations = [dict(zip(keys, values, strict=True)) for values in product(*keys.values())]
    return [RunRecord(number, asked, 0.1 + number / 100, {"road": 0.1}) for number, asked in enumerate(combinations)]


def plot(jobs: list[RunRecord]) -> Figure:
    figure = draw_sweep(group_by_seed(jobs))
    encode(figure)
    return figure


def heat_maps(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


@pytest.mark.parametrize(
    ("keys", "means"),
    [
        ({"seed": ["0", "1", "2"]}, [10, 11, 12]),
        ({"seed": ["0"]}, [10]),
        ({"tau": ["0.9", "0.8"], "seed": ["0", "1"]}, [12.5, 10.5]),
        ({"experiment": ["hrda_demo", "daformer_demo"]}, [10, 11]),
    ],
)
def test_one_key_is_a_line(keys: dict[str, list[str]], means: list[float]) -> None:
    [axes] = plot(jobs_of(**keys)).axes
    assert axes.lines[0].get_ydata() == pytest.approx(means)
    assert not axes.images


def test_two_keys_are_a_heat_map_and_more_are_several_with_one_scale() -> None:
    [cells] = heat_maps(plot(jobs_of(tau=["0.8", "0.9"], lambda_d=["0", "0.1"])))
    assert cells == pytest.approx(np.array([[10, 12], [11, 13]]))
    figure = plot(jobs_of(tau=["0.8", "0.9"], lambda_d=["0", "0.1"], s_T=["1", "2"]))
    assert [cells.tolist() for cells in heat_maps(figure)] == [
        [pytest.approx([10, 14]), pytest.approx([12, 16])],
        [pytest.approx([11, 15]), pytest.approx([13, 17])],
    ]
    limits = {axes.images[0].get_clim() for axes in figure.axes if axes.images}
    assert [pytest.approx((10, 17))] == list(limits)


def test_cells_without_a_result_are_empty_and_say_why() -> None:
    jobs = jobs_of(tau=["0.8", "0.9"], lambda_d=["0", "0.1"])
    jobs[0] = RunRecord(0, jobs[0].overrides, reason="broken")
    figure = plot(jobs)
    [cells] = heat_maps(figure)
    assert np.isnan(cells.astype(float)).tolist() == [[True, False], [False, False]]
    assert "failed" in [text.get_text() for text in figure.axes[0].texts]


def test_a_random_search_is_dots_and_a_sweep_that_failed_altogether_can_be_drawn() -> None:
    scattered = [RunRecord(n, {"tau": str(n / 10), "alpha": str((n * 7 % 10) / 10)}, n / 10) for n in range(10)]
    figure = plot(scattered)
    assert [axes.get_xlabel() for axes in figure.axes] == ["tau", "alpha"]
    assert heat_maps(figure) == []
    for keys in ({"tau": ["1", "2"]}, {"tau": ["1", "2"], "s_T": ["1", "2"]}):
        plot([RunRecord(job.number, job.overrides, reason="broken") for job in jobs_of(**keys)])


def test_one_seed_supports_no_best(tmp_path: Path) -> None:
    for number, tau in enumerate((0.8, 0.9)):
        make(tmp_path, number, [f"tau={tau}", "seed=0"], tau / 2)
    write(tmp_path)
    assert not any("best" in line for line in (tmp_path / "sweep.txt").read_text().splitlines() if "│" in line)
    assert best(group_by_seed(read_jobs(tmp_path)[0])) is None


def test_a_sweep_that_was_stopped_says_how_far_it_came(tmp_path: Path) -> None:
    make(tmp_path, 0, ["tau=0.8"], 0.4)
    head, *_ = report(write(tmp_path), count_jobs(["experiment=x", "tau=0.8,0.9", "seed=range(3)"]))
    assert str(head).startswith("1 of 6 jobs done, then stopped")
    assert [count_jobs(command) for command in (None, 3, [1], ["tau=["])] == [0] * 4


def test_a_damaged_record_is_named_and_the_other_jobs_are_shown(tmp_path: Path) -> None:
    make(tmp_path, 0, ["tau=0.8"], 0.4)
    make(tmp_path, 1, ["tau=0.9"], 0.5)
    make(tmp_path, 2, ["tau=1"], 0.6)
    (tmp_path / "1" / "job.json").write_text("{")
    (tmp_path / "2" / "metrics.json").write_text('{"val/miou": [7], "val/iou": {}}')
    sweep = write(tmp_path)
    assert [(job.number, job.state) for job in sweep.jobs] == [(0, "done"), (2, "unfinished")]
    assert [line.split()[0] for line in sweep.damaged] == [
        str(tmp_path / "1" / "job.json"), f"{tmp_path / '2' / 'metrics.json'}:",
    ]  # fmt: skip
    assert all(f"passed over: {line}" in (tmp_path / "sweep.txt").read_text() for line in sweep.damaged)


def test_a_run_that_ended_early_has_a_star(tmp_path: Path) -> None:
    make(tmp_path, 0, ["tau=0.8"], 0.4)
    path = tmp_path / "0" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "ended": "max_time, after 3 of 9 steps"}))
    _, table, *lines = report(write(tmp_path))
    assert "40.0*" in table.rows[0]
    assert lines == ["* all seeds, seed -: max_time, after 3 of 9 steps"]


def test_runs_of_several_kinds_say_what_adaptation_adds(tmp_path: Path) -> None:
    made = {"source_only": ("source-only", 0.3), "generalise": ("generalisation", 0.35),
            "hrda": ("adaptation", 0.5), "oracle": ("oracle", 0.7)}  # fmt: skip
    for number, (experiment, (kind, miou)) in enumerate(made.items()):
        for seed in range(2):
            job = 2 * number + seed
            make(tmp_path, job, [f"experiment={experiment}", f"seed={seed}"], miou + seed / 50)
            path = tmp_path / str(job) / "metrics.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "kind": kind, "data": {"val": "cityscapes"}}))
    write(tmp_path)
    lines = [line for line in (tmp_path / "sweep.txt").read_text().splitlines() if " of 2 " in line]
    found = [[word for word in line.replace("│", " ").split() if word != "best"] for line in lines]
    assert [(words[0], words[1], words[5]) for words in found] == [
        ("oracle", "oracle", "+40.0"),
        ("hrda", "adaptation", "+20.0"),
        ("generalise", "generalisation", "+5.0"),
        ("source_only", "source-only", "+0.0"),
    ]
    assert {row["kind"]: float(row["gain"]) for row in rows_of(tmp_path)} == pytest.approx(
        {"oracle": 0.4, "adaptation": 0.2, "generalisation": 0.05, "source-only": 0}
    )


def test_runs_of_one_kind_need_no_column_for_it(tmp_path: Path) -> None:
    make(tmp_path, 0, ["tau=0.8"], 0.4)
    write(tmp_path)
    assert "gain" not in (tmp_path / "sweep.txt").read_text()
    assert rows_of(tmp_path)[0]["gain"] == ""


def test_gain_is_over_what_was_scored_on_the_same_data() -> None:
    jobs = [
        RunRecord(0, {"x": "a"}, 0.2, kind="source-only", scored_on="acdc"),
        RunRecord(1, {"x": "b"}, 0.5, kind="source-only", scored_on="cityscapes"),
        RunRecord(2, {"x": "c"}, 0.3, kind="adaptation", scored_on="acdc"),
        RunRecord(3, {"x": "d"}, 0.3, kind="adaptation", scored_on="idd"),
    ]
    some = group_by_seed(jobs)
    assert several_kinds(some)
    gains = {one.values["x"]: gain(one, some) for one in some}
    assert gains["c"] == pytest.approx(0.1)
    assert math.isnan(gains["d"])
