import logging

import numpy as np
import pytest
import torch

from hrda_lit.data.rare_class import RareClass, RareClassSampler

NAMES = ["a", "b", "c"]
COUNTS = torch.tensor([[900, 11, 0], [800, 10, 0], [700, 50, 0], [0, 0, 7]])
OPTIONS = RareClass(temperature=0.5, min_pixels=10)


def test_candidates_have_more_than_the_least() -> None:
    sampler = RareClassSampler(COUNTS, OPTIONS, NAMES)
    assert sampler.candidates == [[0, 1, 2], [0, 2], []]


def test_class_without_files_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sampler = RareClassSampler(COUNTS, OPTIONS, NAMES)
    assert "skips c: no file has more than min_pixels=10" in caplog.text
    assert sampler.probabilities[2] == 0
    assert float(sampler.probabilities.sum()) == pytest.approx(1)


def test_class_that_never_occurs_is_not_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    RareClassSampler(torch.tensor([[20, 30, 0]]), OPTIONS, NAMES)
    assert not caplog.records


def test_picks_follow_the_probabilities() -> None:
    sampler = RareClassSampler(COUNTS, OPTIONS, NAMES)
    generator = torch.Generator().manual_seed(0)
    picks = [sampler.pick(generator) for _ in range(4000)]
    share = COUNTS.sum(0).double() / COUNTS.sum()
    weights = np.exp((1 - share.numpy()[:2]) / 0.5)
    expected = weights / weights.sum()
    for chosen in (0, 1):
        files = [file for c, file in picks if c == chosen]
        sigma = np.sqrt(expected[chosen] * (1 - expected[chosen]) / 4000)
        assert abs(len(files) / 4000 - expected[chosen]) < 4 * sigma
        for file in sampler.candidates[chosen]:
            rate = 1 / len(sampler.candidates[chosen])
            assert abs(files.count(file) / len(files) - rate) < 4 * np.sqrt(rate / len(files))


def test_too_small_files_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no file has more than min_pixels=900 .* lower"):
        RareClassSampler(COUNTS, RareClass(min_pixels=900), NAMES)


@pytest.mark.parametrize(("downscale", "pixels"), [(1, 6000), (2, 1500)])
def test_official_acceptance(downscale: int, pixels: int) -> None:
    assert RareClass().accept_pixels(downscale) == pixels


@pytest.mark.parametrize("options", [{"temperature": 0}, {"min_pixels": -1}, {"accept_ratio": -1}, {"max_tries": -1}])
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}=.* expected"):
        RareClass(**options)  # type: ignore[arg-type]
