"""Entropy and agreement against loops."""

import math

import pytest
import torch

from hrda_lit.ops.pseudo_labels import agreement, relative_entropy
from hrda_lit.ops.rng import generator


def test_entropy_is_that_of_a_loop() -> None:
    logits = 3 * torch.randn(1, 5, 2, 3, generator=generator("logits"))
    entropy = relative_entropy(logits)
    for row in range(2):
        for column in range(3):
            scores = [math.exp(value) for value in logits[0, :, row, column].tolist()]
            shares = [score / sum(scores) for score in scores]
            wanted = -sum(share * math.log(share) for share in shares) / math.log(5)
            assert entropy[0, row, column].item() == pytest.approx(wanted, abs=1e-6)


def test_entropy_is_0_for_the_sure_and_1_for_the_ignorant() -> None:
    logits = torch.tensor([[1e4, 0.0], [0.0, 0.0], [-1e4, 0.0]]).view(1, 3, 1, 2)
    assert relative_entropy(logits).flatten().tolist() == pytest.approx([0, 1])


def test_agreement_counts_trusted_pixels_alone() -> None:
    one = torch.zeros(1, 3, 1, 4)
    one[0, 0] = 1
    other = one.clone()
    other[0, 2, 0, 2:] = 2  # differs in the two on the right, of which one is trusted
    entropy, same, pixels = agreement(one, other, torch.tensor([[[1.0, 1, 1, 0]]])).tolist()
    assert (same, pixels) == (2, 3)
    assert entropy == pytest.approx(3 * relative_entropy(one)[0, 0, 0].item())


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_tells(which: int, bad: float) -> None:
    logits = [torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)]
    logits[which][0, 1, 0, 0] = bad
    assert agreement(*logits, torch.ones(1, 2, 2))[1].isnan()
