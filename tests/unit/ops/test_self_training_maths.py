"""Pseudo-labels, ClassMix, block masks and the moving average."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from hrda_lit.ops.masks import (
    batch_classes,
    block_mask,
    choose_classes,
    class_mask,
    draw_blocks,
    draw_priorities,
    paste,
)
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map
from hrda_lit.ops.rng import generator
from hrda_lit.training.ema_teacher import detached, ema_momentum, ema_update_, relative_distance


@pytest.mark.parametrize("tau", [0.0, 0.4, 0.6, 1.0])
def test_share_of_confident_pixels_by_loops(tau: float) -> None:
    logits = 2 * torch.randn(2, 3, 4, 5, generator=generator("logits"))
    made = pseudo_labels(logits, tau)
    scores = logits.double().numpy()
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert np.array_equal(made.label.numpy(), probability.argmax(1))
    np.testing.assert_allclose(made.confidence.numpy(), probability.max(1), rtol=1e-5)
    assert made.q.item() == pytest.approx(np.mean(probability.max(1) >= tau))


def test_confidence_equal_to_tau_counts() -> None:
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0, 0, 0] = 5
    assert pseudo_labels(logits, 0.5).q.item() == 1
    assert pseudo_labels(logits, 0.51).q.item() == 0.25


def test_q_is_one_number_for_the_batch() -> None:
    logits = torch.zeros(2, 2, 1, 2)
    logits[0, 0] = 9
    made = pseudo_labels(logits, 0.9)
    assert made.q.shape == ()
    assert made.q.item() == 0.5


def test_margins_are_not_trusted_and_do_not_change_q() -> None:
    valid = torch.tensor([[[1.0, 0.0]]])
    assert torch.equal(weight_map(torch.tensor(0.5), valid), torch.tensor([[[0.5, 0.0]]]))


def test_classes_of_the_batch_hold_the_ignored_id() -> None:
    label = torch.tensor([[[3, 1]], [[255, 1]]])
    assert batch_classes(label).nonzero().flatten().tolist() == [1, 3, 255]


def test_pasted_pixels_show_a_chosen_class_of_their_own_sample() -> None:
    label = torch.tensor([[[0, 1, 2, 255]], [[0, 1, 2, 255]]])
    chosen = torch.zeros(2, 256, dtype=torch.bool)
    chosen[0, [0, 255]] = chosen[1, 5] = True
    mask = class_mask(label, chosen)
    assert mask.tolist() == [[[True, False, False, True]], [[False] * 4]]


def test_paste_takes_the_source_where_the_mask_is_set() -> None:
    mask = torch.rand(2, 3, 4, generator=generator("mask")) > 0.5
    for shape in ((2, 3, 4), (2, 5, 3, 4)):
        mixed = paste(mask, torch.ones(shape), torch.zeros(shape))
        assert torch.equal(mixed, (mask if len(shape) == 3 else mask.unsqueeze(1)).expand(shape).float())


def test_every_class_is_drawn_equally_often() -> None:
    source, classes = generator("classes"), torch.tensor([2, 5, 7, 11, 255])
    present = torch.zeros(256, dtype=torch.bool).index_fill(0, classes, True)
    chosen = choose_classes(present, draw_priorities(2000, source))
    assert not chosen[:, ~present].any()
    share = chosen[:, classes].float().mean(0).tolist()
    assert share == pytest.approx([0.6] * 5, abs=0.05)  # 3 of 5; five standard deviations


def test_mask_by_loops() -> None:
    draws = draw_blocks(2, (10, 12), 4, generator("blocks"))
    mask = block_mask(draws, 0.5, (10, 12))
    assert draws.shape == (2, 1, 2, 3)
    for n, i, j in np.ndindex(2, 10, 12):
        assert bool(mask[n, 0, i, j]) == bool(draws[n, 0, i * 2 // 10, j * 3 // 12] > 0.5)


def test_images_get_masks_of_their_own() -> None:
    mask = block_mask(draw_blocks(2, (64, 64), 8, generator("two")), 0.5, (64, 64))
    assert not torch.equal(mask[0], mask[1])


def test_share_of_hidden_blocks() -> None:
    draws = draw_blocks(8, (512, 512), 8, generator("share"))
    assert block_mask(draws, 0.7, (512, 512)).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_block_larger_than_the_image() -> None:
    assert draw_blocks(1, (8, 20), 64, generator(0)).shape == (1, 1, 1, 1)


def test_momentum_warms_up() -> None:
    assert [ema_momentum(step, 0.9) for step in (0, 1, 3, 9, 10**6)] == [0, 0.5, 0.75, 0.9, 0.9]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_first_update_copies_parameters_and_no_buffers() -> None:
    student, teacher = network(), network()
    student(torch.randn(4, 3, generator=generator("buffers")))
    ema_update_(detached(teacher), detached(student), 0, 0.999)
    assert relative_distance(teacher, student) == 0
    assert torch.equal(teacher[1].running_mean, torch.zeros(2))
    assert not torch.equal(student[1].running_mean, torch.zeros(2))
    with torch.no_grad():
        student[0].weight.add_(1)
    norm = torch.cat([parameter.flatten() for parameter in student.parameters()]).norm()
    assert relative_distance(teacher, student) == pytest.approx(6**0.5 / norm.item()), "a copy shares no memory"


def test_average_of_a_sequence() -> None:
    # With alpha_t = 1 - 1 / (t + 1) the teacher is the mean of all students so far.
    student = nn.Linear(3, 2)
    teacher = copy.deepcopy(student).requires_grad_(False)
    seen = []
    for step in range(6):
        with torch.no_grad():
            student.weight.copy_(torch.randn(2, 3, generator=generator("student", step)))
        seen.append(student.weight.detach().clone())
        ema_update_(detached(teacher), detached(student), step, 0.999)
    torch.testing.assert_close(teacher.weight.data, torch.stack(seen).mean(0))
    assert teacher.weight.grad_fn is None
