"""Labels and probabilities class by class equal those of all logits at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from hrda_lit.ops.logits import attention_of, best_classes, decide


@pytest.mark.parametrize("size", [(7, 9), (20, 31), (3, 2), (1, 1)])
def test_label_and_confidence_are_those_of_resampled_logits(size: tuple[int, int]) -> None:
    logits = 5 * torch.randn(1, 6, 7, 9, generator=torch.Generator().manual_seed(0))
    label, confidence = decide(logits, size)
    probabilities = F.interpolate(logits, size, mode="bilinear", align_corners=False).softmax(dim=1)
    assert label.dtype == torch.uint8
    assert torch.equal(label.long(), probabilities.argmax(1)[0])
    assert torch.allclose(confidence, probabilities.amax(1)[0], atol=1e-6)


def test_of_equal_classes_the_first_wins_and_large_logits_do_not_overflow() -> None:
    label, confidence = decide(torch.tensor([1e4, 1e4, -1e4]).view(1, 3, 1, 1), (1, 1))
    assert label.item() == 0
    assert confidence.item() == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(bad: float) -> None:
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, 0, 1] = bad
    with pytest.raises(ValueError, match="its training diverged"):
        decide(logits, (4, 4))


def test_the_attention_of_the_winning_class_is_taken() -> None:
    attention = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    label = torch.arange(20).view(4, 5).remainder(3).to(torch.uint8)
    taken = attention_of(attention, label)
    for row in range(4):
        for column in range(5):
            assert taken[row, column] == attention[0, label[row, column].item(), row, column]


def test_one_attention_for_all_classes_is_resampled() -> None:
    attention = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    taken = attention_of(attention, torch.full((8, 10), 7, dtype=torch.uint8))
    assert torch.equal(taken, F.interpolate(attention, (8, 10), mode="bilinear", align_corners=False)[0, 0])


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_the_best_class_class_by_class(h: int, w: int, height: int, width: int, seed: int) -> None:
    logits = torch.randint(-3, 4, (2, 5, h, w), generator=torch.Generator().manual_seed(seed)).float()
    expected = torch.nn.functional.interpolate(logits, size=(height, width), mode="bilinear").argmax(1)
    assert best_classes(logits, (height, width)).equal(expected)
