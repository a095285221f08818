"""The losses against loops in numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hrda_lit.ops.losses import downscale_label, feature_distance, pixel_weighted_cross_entropy, thing_mask
from hrda_lit.ops.resize import resize


@pytest.fixture
def data() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(2, 4, 3, 4, generator=generator)
    label = torch.randint(0, 4, (2, 12, 16), generator=generator)
    label[0, :5, :6] = 255
    return logits, label, torch.rand(2, 12, 16, generator=generator)


def cross_entropy_by_loops(logits: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    total = 0.0
    for n, i, j in np.ndindex(label.shape):
        if label[n, i, j] != 255:
            scores = logits[n, :, i, j].astype(np.float64)
            log_sum = np.log(np.exp(scores - scores.max()).sum()) + scores.max()
            total += weight[n, i, j] * (log_sum - scores[label[n, i, j]])
    return total / label.size


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(data: tuple[Tensor, Tensor, Tensor], weighted: bool) -> None:
    logits, label, weight = data
    ours = pixel_weighted_cross_entropy(logits, label, weight if weighted else None)
    large = resize(logits, (12, 16)).numpy()
    numpy_weight = weight.numpy() if weighted else np.ones(label.shape)
    assert ours.item() == pytest.approx(cross_entropy_by_loops(large, label.numpy(), numpy_weight), rel=1e-5)


def test_ignored_pixels_count_in_the_mean(data: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, label, _ = data
    half = label.clone()
    half[:, :, 8:] = 255
    left = pixel_weighted_cross_entropy(resize(logits, (12, 16))[..., :8], label[..., :8])
    assert pixel_weighted_cross_entropy(logits, half).item() == pytest.approx(left.item() / 2, rel=1e-5)


def test_another_ignored_id(data: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, label, _ = data
    renamed = torch.where(label == 255, 7, label)
    ours = pixel_weighted_cross_entropy(logits, renamed, ignore=7)
    assert torch.equal(ours, pixel_weighted_cross_entropy(logits, label))


def test_zero_weight_gives_no_gradient(data: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, label, weight = data
    logits = logits.repeat_interleave(4, 2).repeat_interleave(4, 3).requires_grad_()
    weight[0, 3:] = 0
    pixel_weighted_cross_entropy(logits, label, weight).backward()
    assert not logits.grad[0, :, 3:].any()
    assert logits.grad[0, :, :3, 6:].all()


def test_uint8_label(data: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, label, _ = data
    ours = pixel_weighted_cross_entropy(logits, label.to(torch.uint8))
    assert torch.equal(ours, pixel_weighted_cross_entropy(logits, label))


def downscale_by_loops(label: np.ndarray, factor: int, ratio: float) -> np.ndarray:
    batch, height, width = label.shape
    small = np.full((batch, height // factor, width // factor), 255)
    for n, i, j in np.ndindex(small.shape):
        cell = label[n, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
        values, counts = np.unique(cell, return_counts=True)
        if counts.max() >= ratio * cell.size:
            small[n, i, j] = values[counts.argmax()]
    return small


@pytest.mark.parametrize("ratio", [0.51, 0.75, 1.0])
def test_downscaled_label(ratio: float) -> None:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.tensor([0, 1, 2, 255])[torch.randint(0, 4, (2, 4, 6), generator=generator)]
    label = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    noise = torch.rand(label.shape, generator=generator) < 0.25
    label[noise] = torch.randint(0, 3, (int(noise.sum()),), generator=generator)
    ours = downscale_label(label, 4, ratio, 3)
    assert np.array_equal(ours.numpy(), downscale_by_loops(label.numpy(), 4, ratio))


def test_share_is_of_the_whole_cell_and_may_equal_the_ratio() -> None:
    cell = torch.tensor([[[1, 1, 1, 255]]]).repeat(1, 4, 1)
    assert downscale_label(cell, 4, 0.75, 3).item() == 1
    cell[0, 0, 0] = 255
    assert downscale_label(cell, 4, 0.75, 3).item() == 255


def test_thing_mask_never_holds_ignored_cells() -> None:
    small = torch.tensor([[[0, 1, 2, 255]]])
    assert thing_mask(small, frozenset({1, 2})).tolist() == [[[False, True, True, False]]]
    assert not thing_mask(small, frozenset()).any()


@pytest.fixture
def features() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    first, second = torch.randn(2, 2, 5, 3, 4, generator=generator)
    return first, second, torch.rand(2, 3, 4, generator=generator) > 0.5


def test_feature_distance_is_the_mean_over_the_mask(features: tuple[Tensor, Tensor, Tensor]) -> None:
    first, second, mask = features
    distances = [
        np.sqrt(((first[n, :, i, j] - second[n, :, i, j]).numpy() ** 2).sum())
        for n, i, j in np.ndindex(mask.shape)
        if mask[n, i, j]
    ]
    assert feature_distance(first, second, mask).item() == pytest.approx(np.mean(distances), rel=1e-5)
    everything = torch.ones_like(mask)
    torch.testing.assert_close(feature_distance(first, second), feature_distance(first, second, everything))


def test_feature_distance_pulls_masked_cells_only(features: tuple[Tensor, Tensor, Tensor]) -> None:
    first, second, mask = features
    first.requires_grad_()
    feature_distance(first, second, mask).backward()
    assert torch.equal(first.grad.abs().sum(1) > 0, mask)
    # Unit vectors towards the student's side, shared among the masked cells.
    lengths = first.grad.norm(dim=1)[mask]
    torch.testing.assert_close(lengths, torch.full_like(lengths, 1 / int(mask.sum())))


def test_equal_features_have_no_gradient(features: tuple[Tensor, Tensor, Tensor]) -> None:
    first, _, mask = features
    student = first.clone().requires_grad_()
    feature_distance(student, first, mask).backward()
    assert not student.grad.any(), "the norm at 0 must give 0, not NaN"
