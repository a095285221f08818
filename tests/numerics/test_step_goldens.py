"""Consecutive training steps against the authors' released code, parameter by parameter."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from goldens import Golden
from steps import Run, inject
from torch import Tensor

from hrda_lit.ops.resize import resize

# file, steps in it
FILES = {"d9_step19": (0,), "d9_step5": (0, 1)}
PRECISIONS = (torch.float32, torch.float64)


class Made(NamedTuple):
    """What one step left behind."""

    logs: dict[str, float]
    gradients: dict[str, Tensor]
    parameters: dict[str, Tensor]
    teacher: dict[str, Tensor]
    buffers: dict[str, Tensor]
    labels: dict[str, Tensor]


class Case(NamedTuple):
    run: Run
    golden: Golden
    steps: list[Made]

    def tolerance(self, single: float, double: float) -> float:
        return double if self.run.dtype == torch.float64 else single

    def expected(self, step: int, key: str) -> Any:
        return self.golden.json(f"{'f64/' if self.run.dtype == torch.float64 else ''}it{step}/{key}")


def make_step(run: Run, step: int, logits: list[Tensor]) -> Made:
    logs = run.accumulate(step)
    gradients = {name: p.grad.clone() for name, p in run.student.named_parameters() if p.grad is not None}
    teacher = {name: p.clone() for name, p in run.teacher.named_parameters()}
    run.optimizer.step()
    labels = {"pseudo": run.method.labelled.label, "label": run.method.mixed.label}
    labels |= {"weight": run.method.mixed.weight, "logits": logits[step]}
    parameters = {name: p.detach().clone() for name, p in run.student.named_parameters()}
    buffers = {name: b.clone() for name, b in run.student.named_buffers()}
    return Made(logs, gradients, parameters, teacher, buffers, labels)


@pytest.fixture(scope="module", params=[(file, dtype) for file in FILES for dtype in PRECISIONS], ids=str)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    name, dtype = request.param
    golden, steps = Golden(name), FILES[name]
    run = Run(golden, dtype)
    boxes = [golden[f"it{step}/crop_box_{kind}"].tolist() for step in steps for kind in ("source", "mix")]
    choices = [golden[f"it{step}/class_choice{image}"] for step in steps for image in (0, 1)]
    logits: list[Tensor] = []
    views = run.teacher.views

    def record(image: Tensor) -> dict[str, Tensor]:
        made = views(image)
        logits.append(resize(made["fused"], (image.shape[-2], image.shape[-1])))
        return made

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(run.teacher, "views", record)
        inject(monkeypatch, boxes, choices)
        yield Case(run, golden, [make_step(run, step, logits) for step in steps])


def test_losses(case: Case) -> None:
    for step, made in enumerate(case.steps):
        expected = case.expected(step, "log_vars")
        wanted = {
            "loss/source": expected["decode.loss_seg"] + expected["decode.hr.loss_seg"],
            "loss/feature_distance": expected["src.loss_imnet_feat_dist"],
            "loss/mixed": expected["mix.decode.loss_seg"] + expected["mix.decode.hr.loss_seg"],
        }
        for name, value in wanted.items():
            assert made.logs[name] == pytest.approx(value, rel=case.tolerance(2e-6, 1e-13)), (step, name)


def test_gradient_norm_of_every_parameter(case: Case) -> None:
    for step, made in enumerate(case.steps):
        expected = case.expected(step, "grad_norms")
        assert set(case.run.names) == set(expected)
        assert set(case.run.names.values()) == set(made.gradients)
        for name, value in expected.items():
            ours = float(made.gradients[case.run.names[name]].norm())
            # Some gradients are exactly 0 on paper: what is left of them is rounding noise.
            noise = case.tolerance(1e-7, 1e-15)
            assert ours == pytest.approx(value, rel=case.tolerance(1e-5, 1e-12), abs=noise), (step, name)


def test_gradients(case: Case) -> None:
    for step, made in enumerate(case.steps):
        entries = case.golden.state(f"f64/it{step}/grad/")
        assert len(entries) >= 8
        for name, expected in entries.items():
            error = (made.gradients[case.run.names[name]] - expected).norm() / expected.norm()
            assert error < case.tolerance(1e-5, 1e-7), (step, name)


def test_parameters_after_the_optimiser(case: Case) -> None:
    for step, made in enumerate(case.steps):
        entries = case.golden.state(f"f64/it{step}/param_after/")
        assert len(entries) >= 8
        for name, expected in entries.items():
            ours = case.run.names[name]
            # Where the gradient is rounding noise, the first steps of AdamW are a coin's toss of size lr.
            sure = made.gradients[ours].abs() > 1e-6
            assert sure.any()
            rate = case.run.config["head_lr" if name.startswith("decode_head") else "lr"]
            error = (made.parameters[ours] - expected)[sure].abs().max()
            # The file's float32 rounds by 6e-8, a thousandth of a step.
            assert error < case.tolerance(1e-2, 2e-3) * rate, (step, name)


def test_teacher_parameters(case: Case) -> None:
    for step, made in enumerate(case.steps):
        entries = case.golden.state(f"f64/it{step}/teacher_after/")
        assert len(entries) == 2
        for name, expected in entries.items():
            ours = made.teacher[case.run.names[name]]
            assert (ours - expected).abs().max() < case.tolerance(2.5e-7, 1e-7), (step, name)


def test_batch_norm_of_the_student(case: Case) -> None:
    for step, made in enumerate(case.steps):
        entries = case.golden.state(f"f64/it{step}/bn_after/")
        assert set(entries) == {"running_mean", "running_var"}
        for name, expected in entries.items():
            ours = made.buffers[f"head.fuse.bottleneck.1.{name}"]
            torch.testing.assert_close(ours.double(), expected.double(), rtol=1e-6, atol=2e-6)


def test_labels_and_weights(case: Case) -> None:
    for step, made in enumerate(case.steps):
        labels, prefix = made.labels, f"it{step}"
        case.golden.check(f"{prefix}/teacher_logits", labels["logits"])
        case.golden.check(f"{prefix}/pseudo_label", labels["pseudo"].to(torch.uint8))
        case.golden.check(f"{prefix}/mix_label", labels["label"].to(torch.uint8).unsqueeze(1))
        case.golden.check(f"{prefix}/mix_weight", labels["weight"], rtol=5e-4)  # stored in float16


def test_parameter_groups(case: Case) -> None:
    groups = {id(p): group for group in case.run.optimizer.param_groups for p in group["params"]}
    parameters = dict(case.run.student.named_parameters())
    expected = case.golden.json("param_groups")
    assert len(expected) == len(parameters) == len(groups)
    for name, lr, weight_decay in expected:
        group = groups[id(parameters[case.run.names[name.removeprefix("model.")]])]
        assert group["lr"] == pytest.approx(lr, rel=1e-12), name
        assert group["weight_decay"] == weight_decay, name
