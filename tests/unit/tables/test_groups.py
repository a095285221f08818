"""Jobs over seeds: mean, spread and classes that one seed lost."""

import math
import statistics

import pytest

from hrda_lit.tables.groups import RunGroup, classes, collapses, group_by_seed, percent, short
from hrda_lit.tables.records import RunRecord


def job(number: int, miou: float = math.nan, bus: float = math.nan, **asked: object) -> RunRecord:
    iou = {} if math.isnan(miou) else {"road": miou, "bus": bus, "train": math.nan}
    return RunRecord(number, {key: str(value) for key, value in asked.items()}, miou, iou)


def test_seeds_are_gathered_and_settings_sorted() -> None:
    jobs = [
        job(0, 0.2, tau=0.9, seed=0),
        job(1, 0.4, tau=0.9, seed=1),
        job(2, tau=0.5, seed=0),
        job(3, tau=0.5, seed=1),
        job(4, 0.5, tau=0.8, seed=0),
        job(5, tau=0.8, seed=1),
    ]
    best, second, last = group_by_seed(jobs)
    assert [s.label for s in (best, second, last)] == ["tau=0.8", "tau=0.9", "tau=0.5"]
    assert [job.number for job in best.runs] == [4, 5]
    assert (best.miou, math.isnan(best.spread)) == (0.5, True)
    assert second.miou == pytest.approx(0.3)
    assert second.spread == pytest.approx(statistics.stdev([0.2, 0.4]))
    assert math.isnan(last.miou)


def test_classes_are_those_that_occur_anywhere() -> None:
    some = group_by_seed([job(0, 0.5, seed=0), job(1, 0.7, 0.0, seed=1)])
    assert classes(some) == ["road", "bus"]
    assert some[0].class_values("bus") == [0.0]


@pytest.mark.parametrize(
    ("buses", "lost"),
    [
        ([0.5, 0.0, 0.4], ["bus collapsed in seed 1 (0.0 %) of all seeds and reached 50.0 % in another"]),
        ([0.0, 0.01, 0.3], ["bus collapsed in seed 0 (0.0 %), 1 (1.0 %) of all seeds and reached 30.0 %"]),
        ([0.0, 0.0, 0.0], []),  # never learned
        ([0.1, 0.3, 0.5], []),  # hard, but there
        ([0.0, 0.1, 0.15], []),
        ([math.nan, 0.5, 0.5], []),  # absent from the images
    ],
)
def test_a_class_that_one_seed_lost_is_named(buses: list[float], lost: list[str]) -> None:
    [group] = group_by_seed([job(seed, 0.5, bus, seed=seed) for seed, bus in enumerate(buses)])
    found = list(collapses(group))
    assert len(found) == len(lost)
    assert all(sentence.startswith(start) for sentence, start in zip(found, lost, strict=True))


def test_summary_in_percent() -> None:
    assert [percent(values) for values in ([], [0.5], [0.5, 0.6, 0.7])] == ["-", "50.0", "60.0 ± 10.0"]


def test_labels_are_short() -> None:
    assert [short(v) for v in ("0.6563808168940388", "0.968", "hrda_cityscapes", "")] == [
        "0.6564", "0.968", "hrda_cityscapes", "",
    ]  # fmt: skip
    assert RunGroup({"experiment": "hrda_demo", "tau": "0.9", "s_T": ""}, []).label == "hrda_demo, tau=0.9"
