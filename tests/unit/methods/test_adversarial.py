"""Adversarial training: who learns from which loss, and two optimisers that go on as one."""

import copy

import pytest
import torch
from torch import nn

from hrda_lit.data.classes import Classes
from hrda_lit.methods.adversarial import Adversarial, Discriminator
from hrda_lit.methods.base import Batch, Networks
from hrda_lit.optim import AdamPoly, AdamWPoly, SGDPoly, schedule
from hrda_lit.training.optimizer_pair import pair_optimizers
from hrda_lit.training.skipped_steps import skip_where
from tests.passes import steps


@pytest.fixture
def against(networks: Networks) -> Networks:
    torch.manual_seed(0)
    return networks._replace(discriminator=Discriminator(3, 4))


def learn(method: Adversarial, batch: Batch, networks: Networks) -> dict[str, dict[str, float]]:
    logs = {}
    for done in steps(method, batch, networks):
        done.loss.backward()
        logs[done.name] = {name: float(value) for name, value in done.logs.items()}
    return logs


def test_each_network_learns_from_its_own_loss(classes: Classes, batch: Batch, against: Networks) -> None:
    against.student.eval()
    image, target = batch["source"]["image"], batch["target"]["image"]
    method = Adversarial(classes, lambda_adv=0.5, channels=4)
    logs = learn(method, batch, against)
    assert tuple(logs) == method.names
    found = [p.grad.clone() for p in against.discriminator.parameters()]
    drawn = method.draw(against.student, image.shape, torch.Generator())
    size, scores = (32, 32), []
    for x, where in ((image, drawn.student["source"]), (target, drawn.student["adversarial"])):
        fused = against.student(x, where).outputs[0].logits
        small = nn.functional.interpolate(fused, size, mode="bilinear").softmax(1).detach()
        scores.append(against.discriminator(small))
    # Boxes differ from those of the step, but only the attention's mask depends on them.
    told = (scores[0].square().mean() + (scores[1] - 1).square().mean()) / 2
    assert logs["adversarial"]["loss/discriminator"] == pytest.approx(told.item(), rel=0.05)
    assert logs["adversarial"]["loss/adversarial"] == pytest.approx(0.5 * scores[1].square().mean().item(), rel=0.05)
    assert all(gradient.any() for gradient in found)
    silent = [name for name, p in against.student.named_parameters() if p.grad is None]
    assert not silent


def test_the_discriminator_is_left_alone_by_the_student_and_the_other_way_round(
    classes: Classes, batch: Batch, against: Networks
) -> None:
    collected = []
    for weight in (0.0, 5.0):
        for network in (against.student, against.discriminator):
            network.zero_grad()
        torch.manual_seed(1)
        for done in steps(Adversarial(classes, weight, 4), batch, against):
            if done.name == "adversarial":
                done.loss.backward()
        collected.append([[p.grad.clone() for p in n.parameters()] for n in (against.student, against.discriminator)])
    (student0, opponent0), (student5, opponent5) = collected
    assert not any(gradient.any() for gradient in student0)
    assert any(gradient.any() for gradient in student5)
    assert all(torch.equal(a, b) for a, b in zip(opponent0, opponent5, strict=True))


def test_least_squares_against_a_real_discriminator_lower_its_loss(
    classes: Classes, batch: Batch, against: Networks
) -> None:
    optimizer, _ = AdamPoly(lr=1e-2).build(against.discriminator, 100)
    told = []
    for _ in range(8):
        optimizer.zero_grad()
        told.append(learn(Adversarial(classes, channels=4), batch, against)["adversarial"]["loss/discriminator"])
        optimizer.step()
    assert told[-1] < told[0]


def test_the_pair_steps_as_both_would(against: Networks) -> None:
    student, discriminator = against.student, against.discriminator
    twins = copy.deepcopy((student, discriminator))
    alone = [SGDPoly().build(twins[0], 10), AdamPoly().build(twins[1], 10)]
    optimizer, scheduler = pair_optimizers(SGDPoly().build(student, 10), AdamPoly().build(discriminator, 10))
    for step in range(3):
        for network in (student, discriminator, *twins):
            torch.manual_seed(step)
            for parameter in network.parameters():
                parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        scheduler.step()
        for one, its in alone:
            one.step()
            its.step()
        if step == 1:  # resumed: into new optimisers
            state = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
            optimizer, scheduler = pair_optimizers(SGDPoly().build(student, 10), AdamPoly().build(discriminator, 10))
            optimizer.load_state_dict(state[0])
            scheduler.load_state_dict(state[1])
    pairs = zip(
        [*student.parameters(), *discriminator.parameters()], [p for n in twins for p in n.parameters()], strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)
    assert optimizer.param_groups[-1]["lr"] == pytest.approx(1e-4 * schedule(3, 10, 0, 0.9))


def test_a_bad_step_changes_neither(against: Networks) -> None:
    optimizer, _ = pair_optimizers(AdamWPoly().build(against.student, 10), AdamPoly().build(against.discriminator, 10))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    before = [p.detach().clone() for p in parameters]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    skip_where(optimizer, torch.tensor(True))
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


def test_a_state_of_one_optimiser_is_refused(against: Networks) -> None:
    alone, _ = AdamWPoly().build(against.student, 10)
    optimizer, _ = pair_optimizers(AdamWPoly().build(against.student, 10), AdamPoly().build(against.discriminator, 10))
    with pytest.raises(ValueError, match="parameter groups"):
        optimizer.load_state_dict(alone.state_dict())
