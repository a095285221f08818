"""Draws of a step: which of them the pass on source labels uses."""

import torch

from hrda_lit.methods.base import Draws


def test_a_method_may_rename_the_pass_on_source_labels() -> None:
    first, second = torch.zeros(2), torch.ones(2)
    assert Draws({"mine": first, "mixed": second}).source() is first
    assert Draws({"mine": first, "source": second}).source() is second
