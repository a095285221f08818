"""IoU against set operations."""

import math

import pytest
import torch

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.inference.iou import class_iou, logged_means, mean_iou, mean_ious
from hrda_lit.ops.rng import generator


def test_iou_by_sets() -> None:
    source = generator("iou")
    label, prediction = torch.randint(0, 4, (2, 300), generator=source)
    confusion = torch.zeros(5, 5, dtype=torch.long)
    for row, column in zip(label.tolist(), prediction.tolist(), strict=True):
        confusion[row, column] += 1
    iou = class_iou(confusion)
    for c in range(4):
        both = ((label == c) & (prediction == c)).sum()
        either = ((label == c) | (prediction == c)).sum()
        assert iou[c].item() == pytest.approx((both / either).item(), rel=1e-6)
    assert math.isnan(iou[4])
    assert mean_iou(iou) == pytest.approx(iou[:4].mean().item())


def test_rows_are_labels_and_columns_predictions_alike() -> None:
    confusion = torch.tensor([[3, 1], [2, 4]])
    assert class_iou(confusion).tolist() == pytest.approx([3 / 6, 4 / 7])
    assert torch.equal(class_iou(confusion), class_iou(confusion.T))


def test_class_that_is_predicted_but_absent_scores_zero() -> None:
    iou = class_iou(torch.tensor([[5, 1], [0, 0]]))
    assert iou.tolist() == pytest.approx([5 / 6, 0])
    assert mean_iou(iou) == pytest.approx(5 / 12), "a class of IoU 0 counts in the mean"


def test_large_counts_are_exact() -> None:
    # Float32 would lose single pixels of a whole Cityscapes validation set.
    count = 2**30 + 1
    assert class_iou(torch.tensor([[count, 0], [1, 7]]))[0].item() == count / (count + 1)


def test_no_class_at_all() -> None:
    assert math.isnan(mean_iou(class_iou(torch.zeros(3, 3, dtype=torch.long))))


def test_means_of_synthia_leave_out_by_id() -> None:
    # The train ids that do not occur in SYNTHIA are 9, 14 and 16; 13 classes also lack 3, 4 and 5.
    iou = torch.rand(19, generator=generator("means"), dtype=torch.double)
    iou[11] = math.nan
    means = mean_ious(iou, CITYSCAPES.names)
    for name, left_out in {"mIoU": {11}, "mIoU 16": {9, 11, 14, 16}, "mIoU 13": {3, 4, 5, 9, 11, 14, 16}}.items():
        kept = [value for index, value in enumerate(iou.tolist()) if index not in left_out]
        assert means[name] == pytest.approx(sum(kept) / len(kept))
    assert list(mean_ious(iou[:3], ["a", "b", "c"])) == ["mIoU"]
    logged = logged_means(iou, CITYSCAPES.names)
    assert logged == {"val/miou": means["mIoU"], "val/miou_16": means["mIoU 16"], "val/miou_13": means["mIoU 13"]}
