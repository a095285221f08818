"""Warnings in words, each once, also over a resumed run."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch

from hrda_lit.module import UDAModule
from hrda_lit.training.health import HealthWarnings

NAMES = ("road", "sky", "car")


def matrix(*rows: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(rows)


GOOD = matrix((9, 0, 1), (0, 9, 1), (1, 1, 8))
NO_CAR = matrix((10, 0, 0), (0, 10, 0), (5, 5, 0))


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level("WARNING", "hrda_lit")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("hrda_lit")]


def test_a_class_that_collapses_is_told_once(told: Callable[[], list[str]]) -> None:
    health = HealthWarnings()
    for step, counts in enumerate((GOOD, NO_CAR, NO_CAR, GOOD, NO_CAR)):
        health.check_classes(counts, NAMES, step)
    (sentence,) = told()
    assert sentence.startswith("car has collapsed: no pixel of it is right at step 1, where its IoU has been 66.7 %")


def test_a_class_without_labels_cannot_collapse(told: Callable[[], list[str]]) -> None:
    health = HealthWarnings(validations=1)
    health.check_classes(GOOD, NAMES, 0)
    health.check_classes(matrix((9, 0, 1), (0, 9, 1), (0, 0, 0)), NAMES, 1)
    assert told() == []


def test_what_is_never_predicted_is_told_after_some_validations(told: Callable[[], list[str]]) -> None:
    health = HealthWarnings(validations=2)
    health.check_classes(NO_CAR, NAMES, 1)
    assert told() == []
    health.check_classes(NO_CAR, NAMES, 2)
    assert told() == ["never predicted in 2 validations: car"]


@pytest.mark.parametrize(("q", "words"), [(0.0, "confident nowhere"), (1.0, "confident everywhere")])
def test_a_stuck_q_is_told(told: Callable[[], list[str]], q: float, words: str) -> None:
    health = HealthWarnings(stuck=3)
    for step, value in enumerate((q, q, 0.5, q, q)):
        health.check_q(value, step)
    assert told() == []
    for step in (5, 6, 7):
        health.check_q(q, step)
    (sentence,) = told()
    assert words in sentence
    assert "up to step 5" in sentence


def test_leaping_between_0_and_1_is_not_stuck(told: Callable[[], list[str]]) -> None:
    health = HealthWarnings(stuck=2)
    for step in range(6):
        health.check_q(step % 2, step)
    assert told() == []


def test_a_resumed_run_warns_as_one_that_was_not_stopped(told: Callable[[], list[str]]) -> None:
    whole, first = HealthWarnings(stuck=4, validations=2), HealthWarnings(stuck=4, validations=2)
    for health in (whole, first):
        health.check_q(0, 1)
        health.check_q(0, 2)
        health.check_teacher(0.9, 2)
        health.check_classes(GOOD, NAMES, 2)
    begun = told()[: len(told()) // 2]
    assert len(begun) == 1
    second = HealthWarnings(stuck=4, validations=2)
    second.load_state_dict(first.state_dict())
    before = len(told())
    sentences = []
    for health in (whole, second):
        health.check_q(0, 3)
        health.check_q(0, 4)
        health.check_teacher(0.9, 4)
        health.check_classes(NO_CAR, NAMES, 4)
        sentences.append(told()[before:])
        before = len(told())
    assert sentences[0] == sentences[1]
    assert len(sentences[0]) == 2, "q and the class, not the teacher again"
    assert second.state_dict() == whole.state_dict()


def test_it_sees_the_numbers_of_a_run(
    make_module: Callable[..., UDAModule], fit: Callable[..., L.Trainer], told: Callable[[], list[str]]
) -> None:
    module, health = make_module(), HealthWarnings(stuck=2, departed=1e-9)
    module.method.labeller.tau = 1.0  # type: ignore[attr-defined]  # of which no pixel is confident
    fit(module, 3, health)
    assert [sentence.split()[0] for sentence in told()] == ["the", "q"]


@pytest.mark.parametrize("wrong", [{"stuck": 0}, {"validations": 0}, {"departed": -1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* expected"):
        HealthWarnings(**wrong)
