"""What stands in for CUDA graphs does what they do, or tests with it would show nothing."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.tape import Tape


def test_it_reads_and_writes_the_memory_it_was_captured_with() -> None:
    weight, x = nn.Parameter(torch.randn(3, 3)), torch.randn(2, 3)
    weight.grad = torch.zeros(3, 3)
    tape = Tape()

    def work() -> torch.Tensor:
        loss = F.dropout(x @ weight.T, 0.5).square().sum()
        loss.backward()
        return loss.detach()

    loss = tape.capture(work)
    fresh = torch.randn(2, 3)
    x.copy_(fresh)
    with torch.no_grad():
        weight.mul_(2)
    weight.grad.zero_()
    torch.manual_seed(7)
    tape.replay()
    replayed = loss.clone(), weight.grad.clone()
    weight.grad = None
    torch.manual_seed(7)
    expected = F.dropout(fresh @ weight.T, 0.5).square().sum()
    expected.backward()
    assert torch.equal(replayed[0], expected.detach())
    assert torch.equal(replayed[1], weight.grad)


def test_it_freezes_numbers_of_the_host() -> None:
    number, x, tape = 2.0, torch.ones(1), Tape()
    y = tape.capture(lambda: x * number)
    number = 3.0
    tape.replay()
    assert y.item() == 2


@pytest.mark.parametrize("work", [lambda x: x.item(), lambda x: x[x > 0], torch.unique, bool])
def test_it_refuses_to_wait(work: object) -> None:
    with pytest.raises(RuntimeError, match="cannot be captured"):
        Tape().capture(lambda: work(torch.ones(1)))  # type: ignore[operator]
