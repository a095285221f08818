"""Borders and objects against searches pixel by pixel."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.ops.rng import generator
from hrda_lit.tables.breakdown import BANDS, SIZES, Breakdown, border_distance, find_structure

CLASSES = Classes(("ground", "car", "sign", "sky"), ((0, 0, 0),) * 4, frozenset({1, 2}))
UPPER = (2, 4, 8, 16, math.inf)


def draw(seed: str, size: tuple[int, int] = (60, 70), cell: int = 6) -> Tensor:
    """Draw a label of blocks, with ignored ones."""
    ids = torch.tensor([0, 0, 0, 1, 2, 3, 255])
    cells = (-(-size[0] // cell), -(-size[1] // cell))
    blocks = ids[torch.randint(len(ids), cells, generator=generator(seed))]
    return blocks.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[: size[0], : size[1]]


def slow_distance(label: Tensor, row: int, column: int) -> float:
    other = (label != label[row, column]) & (label != 255)
    if not other.any():
        return math.inf
    rows, columns = other.nonzero().T
    return int(torch.maximum((rows - row).abs(), (columns - column).abs()).min())


def slow_objects(label: Tensor) -> Iterator[set[tuple[int, int]]]:
    """Flood thing classes from each pixel, over edges and corners."""
    left = {(int(r), int(c)) for r, c in ((label == 1) | (label == 2)).nonzero()}
    while left:
        found, queue = set(), [left.pop()]
        while queue:
            row, column = queue.pop()
            found.add((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            near = {place for place in near if label[place] == label[row, column]}
            left -= near
            queue += near
        yield found


@pytest.mark.parametrize("cell", [1, 3, 11])
def test_distance_by_search(cell: int) -> None:
    label = draw(f"distance{cell}", (23, 31), cell)
    distance = border_distance(label, 255, 5)
    for row in range(23):
        for column in range(31):
            if label[row, column] != 255:
                assert distance[row, column] == min(slow_distance(label, row, column), 6)


def test_a_label_of_one_class_has_no_border() -> None:
    label = torch.full((9, 1), 3)
    label[4] = 255
    known = label != 255
    assert (border_distance(label, 255, 4)[known] == 5).all()
    assert (find_structure(label, CLASSES).band[known] == len(BANDS) - 1).all()


def test_objects_by_flooding() -> None:
    label = draw("objects")
    found = find_structure(label, CLASSES)
    wanted = {frozenset(places) for places in slow_objects(label)}
    ours = {
        frozenset((int(r), int(c)) for r, c in (found.objects == number + 1).nonzero()): int(owner)
        for number, owner in enumerate(found.owners)
    }
    assert set(ours) == wanted
    assert all(label[next(iter(places))] == owner for places, owner in ours.items())
    assert int(found.objects.max()) == len(wanted)


def test_touching_objects_of_two_classes_are_two() -> None:
    label = torch.tensor([[1, 2], [2, 1]])
    found = find_structure(label, CLASSES)
    assert found.owners.tolist() == [1, 2]
    assert found.objects.tolist() == [[1, 2], [2, 1]]


@pytest.fixture
def counted() -> tuple[Breakdown, list[tuple[Tensor, Tensor]]]:
    breakdown, pairs = Breakdown(CLASSES), []
    for number in range(3):
        label = draw(f"label{number}", (130, 140), 22 + 3 * number)
        wrong = torch.rand(label.shape, generator=generator("wrong", number)) < 0.3
        prediction = torch.where(wrong | (label == 255), draw(f"guess{number}", (130, 140), 1) % 3, label)
        breakdown.update(prediction, label, find_structure(label, CLASSES))
        pairs.append((prediction, label))
    return breakdown, pairs


def test_confusion_of_all_images_by_loops(counted: tuple[Breakdown, list[tuple[Tensor, Tensor]]]) -> None:
    breakdown, pairs = counted
    expected = torch.zeros(4, 4, dtype=torch.long)
    for prediction, label in pairs:
        for row, column in zip(label.flatten().tolist(), prediction.flatten().tolist(), strict=True):
            if row != 255:
                expected[row, column] += 1
    assert torch.equal(breakdown.confusion, expected)


def test_border_miou_by_sets(counted: tuple[Breakdown, list[tuple[Tensor, Tensor]]]) -> None:
    breakdown, pairs = counted
    for band, (name, value) in enumerate(breakdown.border_miou.items()):
        assert name == BANDS[band]
        both, either = torch.zeros(4), torch.zeros(4)
        for prediction, label in pairs:
            distance = border_distance(label, 255, 16)
            lower = UPPER[band - 1] if band else 0
            chosen = (distance > lower) & (distance <= UPPER[band]) & (label != 255)
            for c in range(4):
                both[c] += ((label == c) & (prediction == c) & chosen).sum()
                either[c] += (((label == c) | (prediction == c)) & chosen).sum()
        occurs = either > 0
        assert value == pytest.approx(float((both[occurs] / either[occurs]).mean()))


def test_size_recall_by_flooding(counted: tuple[Breakdown, list[tuple[Tensor, Tensor]]]) -> None:
    breakdown, pairs = counted
    totals = {(size, c): [0, 0, 0] for size in range(3) for c in (1, 2)}
    for prediction, label in pairs:
        for places in slow_objects(label):
            total = totals[_size(places), int(label[next(iter(places))])]
            total[0] += 1
            total[1] += len(places)
            total[2] += sum(int(prediction[place] == label[place]) for place in places)
    assert totals[0, 1][0] > 1
    assert totals[1, 1][0] > 1
    for size, name in enumerate(SIZES):
        recalls = [hits / pixels for _, pixels, hits in (totals[size, c] for c in (1, 2)) if pixels]
        assert breakdown.size_objects[name] == totals[size, 1][0] + totals[size, 2][0]
        if recalls:
            assert breakdown.size_recall[name] == pytest.approx(sum(recalls) / len(recalls))
        else:
            assert math.isnan(breakdown.size_recall[name])


def test_size_miou_by_flooding(counted: tuple[Breakdown, list[tuple[Tensor, Tensor]]]) -> None:
    breakdown, pairs = counted
    totals = {(size, c): [0, 0, 0] for size in range(3) for c in (1, 2)}  # pixels, hits, wrongs
    for prediction, label in pairs:
        for places in slow_objects(label):
            total = totals[_size(places), int(label[next(iter(places))])]
            total[0] += len(places)
            total[1] += sum(int(prediction[place] == label[place]) for place in places)
        for places in slow_objects(torch.where(label == 255, 255, prediction)):
            total = totals[_size(places), int(prediction[next(iter(places))])]
            total[2] += sum(int(prediction[place] != label[place]) for place in places)
    assert totals[0, 1][2] > 0
    for size, name in enumerate(SIZES):
        scores = [hits / (own + wrongs) for own, hits, wrongs in (totals[size, c] for c in (1, 2)) if own + wrongs]
        assert breakdown.size_miou[name] == pytest.approx(
            sum(scores) / len(scores) if scores else math.nan, nan_ok=True
        )


def _size(places: set[tuple[int, int]]) -> int:
    return 0 if len(places) < 32**2 else 1 if len(places) < 96**2 else 2


@pytest.mark.parametrize(("height", "size"), [(31, 0), (32, 1), (287, 1), (288, 2)])
def test_an_object_of_just_a_limit_is_of_the_larger_size(height: int, size: int) -> None:
    label = torch.zeros(300, 40, dtype=torch.long)
    label[:height, :32] = 1
    breakdown = Breakdown(CLASSES)
    breakdown.update(label, label, find_structure(label, CLASSES))
    assert breakdown.size_objects == {name: int(index == size) for index, name in enumerate(SIZES)}
    assert breakdown.size_recall[SIZES[size]] == 1
    assert breakdown.size_miou[SIZES[size]] == 1


def test_no_object_and_no_label_at_all() -> None:
    label = torch.full((5, 6), 255)
    breakdown = Breakdown(CLASSES)
    breakdown.update(torch.zeros_like(label), label, find_structure(label, CLASSES))
    assert int(breakdown.confusion.sum()) == 0
    assert all(math.isnan(value) for part in (breakdown.border_miou, breakdown.size_recall) for value in part.values())
