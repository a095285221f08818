"""The masked pass on every method, and whose labels it takes."""

import copy

import pytest
import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.adversarial import Adversarial, Discriminator
from hrda_lit.methods.base import Batch, Method, Networks, Pass
from hrda_lit.methods.labelling import Labeller, batch_statistics_mode
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.minent import MinEnt
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from tests.passes import steps

KINDS = {"minent": MinEnt, "adversarial": Adversarial, "supervised": Supervised}


def masked_pass(method: Method, batch: Batch, networks: Networks) -> Pass:
    [found] = [done for done in steps(method, batch, networks) if done.name == "masked"]
    return found


@pytest.fixture
def against(networks: Networks) -> Networks:
    return networks._replace(discriminator=Discriminator(3, 64))


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_without_pseudo_labels_asks_its_own_teacher(
    kind: str, classes: Classes, batch: Batch, against: Networks
) -> None:
    method = KINDS[kind](classes, masked=MaskedConsistency(block=16, tau=0.34))
    assert method.needs_teacher
    assert method.needs_target
    assert [done.name for done in steps(method, batch, against)] == list(method.names)
    target = batch["target"]
    labels, q = Labeller(0.34)(against.teacher, target["image"], target["valid"])
    crops = masked_pass(method, batch, against).crops["masked"]
    assert torch.equal(crops.label, labels.label)
    assert torch.equal(crops.weight, q * target["valid"])
    assert 0 < float(q) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_masked_source_images_need_no_teacher(kind: str, classes: Classes, batch: Batch, against: Networks) -> None:
    method = KINDS[kind](classes, masked=MaskedConsistency(block=16, images="source"))
    assert not method.needs_teacher
    crops = masked_pass(method, batch, against._replace(teacher=None)).crops["masked"]
    assert torch.equal(crops.label, batch["source"]["label"])
    assert bool((crops.weight == 1).all())


def test_without_a_teacher_the_student_labels_and_stays_as_it_is(
    classes: Classes, batch: Batch, networks: Networks
) -> None:
    student = networks.student.train()
    before = copy.deepcopy(student)
    expected = batch_statistics_mode(copy.deepcopy(student)).predict(batch["target"]["image"]).argmax(1)
    method = Supervised(classes, MaskedConsistency(block=16, teacher=False))
    assert method.needs_target
    assert not method.needs_teacher
    labels = method.masked._label_target(batch, networks._replace(teacher=None)).label
    assert torch.equal(labels, expected)
    assert all(module.training for module in student.modules())
    assert all(torch.equal(a, b) for a, b in zip(student.buffers(), before.buffers(), strict=True))
    with torch.no_grad():
        list(student.head.parameters())[-1].copy_(torch.tensor([0.0, 100.0, 0.0]))  # biases of the classes
        list(student.fusion.parameters())[-1].fill_(-100)
    moved = method.masked._label_target(batch, networks).label
    assert bool((moved == 1).all()), "the copy shares its weights with the student"


@pytest.mark.parametrize(
    ("options", "times"), [({}, 1), ({"tau": 0.34}, 1), ({"tau": 0.0}, 2), ({"teacher": False}, 2)]
)
def test_self_training_labels_once_where_the_masked_pass_needs_the_same(
    options: dict[str, float],
    times: int,
    classes: Classes,
    batch: Batch,
    networks: Networks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, label = [], Labeller.__call__
    monkeypatch.setattr(Labeller, "__call__", lambda *args: calls.append(args) or label(*args))
    method = SelfTraining(classes, Labeller(0.34), masked=MaskedConsistency(block=16, **options))
    list(steps(method, batch, networks))
    assert len(calls) == times


def test_without_a_confidence_threshold_every_label_counts_outside_margins(
    classes: Classes, batch: Batch, networks: Networks
) -> None:
    method = SelfTraining(classes, masked=MaskedConsistency(block=16, tau=0))
    crops = masked_pass(method, batch, networks).crops["masked"]
    assert torch.equal(crops.weight, batch["target"]["valid"])
