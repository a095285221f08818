"""One training step of MIC against the authors' released code."""

from typing import NamedTuple

import pytest
import torch
from goldens import Golden
from steps import Run, inject

from hrda_lit.methods.masked_consistency import MaskedConsistency

# official name of the mode -> which images are masked
MODES = {"separatetrgaug": "target", "separatesrcaug": "source", "separate": "both"}


class Case(NamedTuple):
    run: Run
    golden: Golden
    prefix: str
    logs: dict[str, float]


@pytest.fixture(scope="module", params=MODES)
def case(request: pytest.FixtureRequest) -> Case:
    golden, prefix = Golden("d10_micstep"), f"{request.param}_l1"
    run = Run(Golden("d9_step19"), torch.float32, MaskedConsistency(0.7, 16, images=MODES[request.param]))
    with pytest.MonkeyPatch.context() as monkeypatch:
        inject(monkeypatch, golden[f"{prefix}/boxes"].tolist(), list(golden[f"{prefix}/class_choice"]))
        blocks = "hrda_lit.methods.masked_consistency.draw_blocks"
        monkeypatch.setattr(blocks, lambda *_: golden[f"{prefix}/mask_rand"])
        return Case(run, golden, prefix, run.accumulate(0))


def test_losses(case: Case) -> None:
    expected = case.golden.json(f"{case.prefix}/log_vars")
    for ours, official in (("source", ""), ("mixed", "mix."), ("masked", "masked.")):
        value = expected[f"{official}decode.loss_seg"] + expected[f"{official}decode.hr.loss_seg"]
        assert case.logs[f"loss/{ours}"] == pytest.approx(value, rel=2e-6), ours


def test_gradient_norm_of_every_parameter(case: Case) -> None:
    gradients = {name: p.grad for name, p in case.run.student.named_parameters()}
    for name, value in case.golden.json(f"{case.prefix}/grad_norms").items():
        ours = float(gradients[case.run.names[name]].norm())
        assert ours == pytest.approx(value, rel=1e-5, abs=1e-7), name


def test_gradients(case: Case) -> None:
    gradients = {name: p.grad for name, p in case.run.student.named_parameters()}
    entries = case.golden.state(f"{case.prefix}/grad/")
    assert len(entries) == 4
    for name, expected in entries.items():
        error = (gradients[case.run.names[name]] - expected).norm() / expected.norm()
        assert error < 1e-5, name
