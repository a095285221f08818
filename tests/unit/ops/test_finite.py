"""One test for NaN and infinity, whatever is looked at."""

import pytest
import torch

from hrda_lit.ops.finite import all_finite, nan_factor, require_finite, squares_finite


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_bad_number_is_found(bad: float, dtype: torch.dtype) -> None:
    good, spoilt = torch.ones(3, 4, dtype=dtype), torch.ones(2, dtype=dtype)
    spoilt[1] = bad
    for check in (all_finite, squares_finite):
        assert check(good)
        assert not check(good, spoilt)
    assert nan_factor(good) == 1
    assert nan_factor(good, spoilt).isnan()
    require_finite(good)
    with pytest.raises(ValueError, match="NaN or infinity"):
        require_finite(spoilt)


def test_nothing_is_finite() -> None:
    assert all_finite()
    assert all_finite(torch.empty(0))
    assert squares_finite()
    assert nan_factor() == 1


def test_squares_that_overflow_are_told_from_numbers_that_are_finite() -> None:
    large = torch.full((2,), 1e25)
    assert all_finite(large)
    assert not squares_finite(large)
