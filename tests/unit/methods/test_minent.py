"""Entropy minimisation, against loops."""

import math

import pytest
import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Networks
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.minent import MinEnt, predict_low_resolution
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.ops.losses import entropy
from tests.passes import steps


def test_entropy_is_that_of_a_loop() -> None:
    logits = torch.randn(2, 5, 3, 4)
    total = 0.0
    for pixel in logits.permute(0, 2, 3, 1).reshape(-1, 5).tolist():
        weights = [math.exp(x) for x in pixel]
        total -= sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights)
    assert float(entropy(logits)) == pytest.approx(total / 24 / math.log(5), rel=1e-5)
    assert float(entropy(torch.zeros(1, 5, 2, 2))) == pytest.approx(1)
    assert float(entropy(1e4 * torch.eye(5).view(1, 5, 5, 1))) == 0, "certain, without 0 log 0"


def test_passes_and_what_they_learn(classes: Classes, batch: Batch, networks: Networks) -> None:
    plain, weighted = (
        {done.name: float(done.loss) for done in steps(MinEnt(classes, weight), batch, networks)} for weight in (1, 0.1)
    )
    assert tuple(plain) == MinEnt(classes).names
    assert 0 < plain["entropy"] <= 1
    assert weighted["entropy"] == pytest.approx(0.1 * plain["entropy"], rel=1e-3)


def test_a_step_makes_the_target_more_certain(classes: Classes, batch: Batch, networks: Networks) -> None:
    networks.student.eval()  # no dropout
    optimizer = torch.optim.SGD(networks.student.parameters(), lr=0.1)
    seen = []
    for _ in range(4):
        optimizer.zero_grad()
        for done in steps(MinEnt(classes, 1.0), batch, networks):
            if done.name == "entropy":
                done.loss.backward()
                seen.append(float(done.loss))
        optimizer.step()
    assert seen[-1] < seen[0]


def test_the_prediction_is_at_low_resolution(networks: Networks, single: SingleScaleSegmentor) -> None:
    image = torch.zeros(1, 3, 64, 128)
    for student, size, why in (
        (networks.student, (32, 64), "half of HRDA's crop"),
        (single, (64, 128), "all that a single-scale network sees"),
    ):
        outputs = student(image, student.draw((64, 128), torch.Generator()))
        assert predict_low_resolution(student, outputs, image).shape[-2:] == size, why


def test_a_negative_weight_is_refused(classes: Classes) -> None:
    with pytest.raises(ValueError, match="lambda_ent=-1: expected"):
        MinEnt(classes, -1)


def test_a_subclass_names_passes_of_its_own(classes: Classes, networks: Networks) -> None:
    class MaxSquares(MinEnt):
        names = ("source", "max_squares")

    method = MaxSquares(classes, masked=MaskedConsistency(block=16))
    assert method.names == ("source", "max_squares", "masked")
    assert {*method.draw(networks.student, (2, 3, 64, 64), torch.Generator()).student} == {*method.names}
