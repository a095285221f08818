"""What the passes keep in memory, and where their gradients go."""

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Networks
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.self_training import SelfTraining
from tests.passes import steps

Collect = Callable[[nn.Module], Tensor]


def mic(classes: Classes) -> SelfTraining:
    return SelfTraining(classes, Labeller(0.3), masked=MaskedConsistency(block=16))


class Holder:
    """A saved activation whose life can be watched."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # an output would hold its own graph in a circle


class Activations:
    """Watch what the graphs keep."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Holder] = weakref.WeakSet()
        self.peak = 0

    def pack(self, tensor: Tensor) -> Holder:
        holder = Holder(tensor)
        self.alive.add(holder)
        self.peak = max(self.peak, len(self.alive))
        return holder

    def hooks(self) -> torch.autograd.graph.saved_tensors_hooks:
        return torch.autograd.graph.saved_tensors_hooks(self.pack, lambda holder: holder.tensor)


@pytest.mark.parametrize("backward", [True, False])
def test_one_graph_at_a_time(classes: Classes, batch: Batch, networks: Networks, backward: bool) -> None:
    seen, counts = Activations(), []
    with seen.hooks():
        for done in steps(mic(classes), batch, networks):
            counts.append(len(seen.alive))
            if backward:
                done.loss.backward()
            del done
            assert len(seen.alive) == 0, "something of this pass is kept while the next one is built"
    assert len(counts) == 3
    assert min(counts) > 50
    assert seen.peak == max(counts), "the peak is that of one pass"


def test_labelling_keeps_nothing(classes: Classes, batch: Batch, networks: Networks) -> None:
    networks.teacher.requires_grad_(True)  # even if somebody forgot to freeze it
    seen, target = Activations(), batch["target"]
    with seen.hooks():
        mic(classes).label_target(networks.teacher, target["image"], target["valid"])
    assert seen.peak == 0


def test_outputs_do_not_survive_their_pass(classes: Classes, batch: Batch, networks: Networks) -> None:
    logits: list[weakref.ref[Tensor]] = []

    def remember(_: nn.Module, __: object, made: Tensor) -> None:
        assert sum(reference() is not None for reference in logits) < 2, "logits of an earlier pass are alive"
        logits.append(weakref.ref(made))

    networks.student.head.register_forward_hook(remember)
    for done in steps(mic(classes), batch, networks):
        done.loss.backward()
    assert len(logits) == 6


def test_passes_add_up_to_the_sum_of_losses(
    classes: Classes, batch: Batch, networks: Networks, gradients: Collect
) -> None:
    collected = []
    for together in (False, True):
        networks.student.zero_grad()
        torch.manual_seed(1)
        passes = steps(mic(classes), batch, networks)
        if together:
            torch.stack([done.loss for done in passes]).sum().backward()
        else:
            for done in passes:
                done.loss.backward()
        collected.append(gradients(networks.student))
    torch.testing.assert_close(*collected, rtol=1e-3, atol=1e-6)


def test_only_the_student_learns(classes: Classes, batch: Batch, networks: Networks) -> None:
    networks.teacher.requires_grad_(True)  # even if somebody forgot to freeze it
    for done in steps(mic(classes), batch, networks):
        done.loss.backward()
    assert all(p.grad is None for network in (networks.teacher, networks.imagenet) for p in network.parameters())
    silent = {name for name, p in networks.student.named_parameters() if p.grad is None}
    assert not silent
