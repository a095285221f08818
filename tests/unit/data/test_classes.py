import re

import pytest
import torch

from hrda_lit.data.classes import CITYSCAPES, ID_MAPS, Classes, classes_from, id_table, palette

# Spelt out again from the papers' label policies, by name instead of by position.
CITYSCAPES_RAW = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
SYNTHIA_RAW = {
    "sky": 1,
    "building": 2,
    "road": 3,
    "sidewalk": 4,
    "fence": 5,
    "vegetation": 6,
    "pole": 7,
    "car": 8,
    "traffic sign": 9,
    "person": 10,
    "bicycle": 11,
    "motorcycle": 12,
    "traffic light": 15,
    "terrain": 16,
    "rider": 17,
    "truck": 18,
    "bus": 19,
    "train": 20,
    "wall": 21,
}
MAPILLARY_RAW = {
    "road": {13, 24, 41},
    "sidewalk": {2, 15},
    "building": {17},
    "wall": {6},
    "fence": {3},
    "pole": {45, 47},
    "traffic light": {48},
    "traffic sign": {50},
    "vegetation": {30},
    "terrain": {29},
    "sky": {27},
    "person": {19},
    "rider": {20, 21, 22},
    "car": {55},
    "truck": {61},
    "bus": {54},
    "train": {58},
    "motorcycle": {57},
    "bicycle": {52},
}


def test_cityscapes_is_complete() -> None:
    assert len(CITYSCAPES) == 19
    assert CITYSCAPES.names[13] == "car"
    assert CITYSCAPES.colours[CITYSCAPES.names.index("bicycle")] == (119, 11, 32)
    things = {CITYSCAPES.names[i] for i in CITYSCAPES.things}
    assert {"traffic light", "person", "train", "bicycle"} <= things
    assert not things & {"road", "sky", "pole"}
    assert len(things) == 10


@pytest.mark.parametrize(("name", "raw"), [("cityscapes", CITYSCAPES_RAW), ("synthia", SYNTHIA_RAW)])
def test_named_id_maps(name: str, raw: dict[str, int]) -> None:
    table = id_table(name, CITYSCAPES)
    assert {CITYSCAPES.names[int(table[i])]: i for i in raw.values()} == raw
    assert int((table != 255).sum()) == 19


def test_mapillary_merges_classes() -> None:
    found = {
        name: {i for i, t in ID_MAPS["mapillary"].items() if CITYSCAPES.names[t] == name} for name in MAPILLARY_RAW
    }
    assert found == MAPILLARY_RAW


def test_table_without_map_keeps_train_ids() -> None:
    table = id_table(None, CITYSCAPES)
    assert table[:19].tolist() == list(range(19))
    assert table[19:].unique().tolist() == [255]
    assert table.dtype == torch.uint8


def test_own_map() -> None:
    classes = Classes(("a", "b"), palette(2), ignore=9)
    assert id_table({4: 1, 5: 9}, classes)[[3, 4, 5]].tolist() == [9, 1, 9]


def test_classes_from_mapping() -> None:
    classes = classes_from({"names": ["a", "b", "c"], "things": ["c"], "ignore": 200})
    assert (classes.names, classes.things, classes.ignore) == (("a", "b", "c"), frozenset({2}), 200)
    assert classes_from({"names": ["a", "b"], "colours": [[1, 2, 3], [4, 5, 6]]}).colours == (
        (1, 2, 3),
        (4, 5, 6),
    )
    assert classes_from("cityscapes") is CITYSCAPES


def test_palette_is_distinct() -> None:
    assert len(set(palette(255))) == 255
    assert palette(5) == palette(9)[:5]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("city", "'city' are unknown; choose"),
        ({"colours": []}, "missing key classes.names"),
        ({"names": ["a", "b"], "color": []}, "unknown key classes.color; did you mean classes.colours?"),
        ({"names": ["a"]}, "names=['a']: expected a list of at least 2"),
        ({"names": ["a", "b", "a"]}, "['a'] occur twice"),
        ({"names": ["a", "b"], "ignore": 1}, "train id"),
        ({"names": ["a", "b"], "ignore": 256}, "ignore=256: expected a whole number in [0, 255]"),
        ({"names": [str(i) for i in range(256)]}, "at most 255"),
        ({"names": ["a", "b"], "colours": [[1, 2, 3]]}, "got 1 colours for 2"),
        ({"names": ["a", "b"], "colours": [[1, 2], [3, 4]]}, "colours[0]=[1, 2]: expected a list of 3"),
        ({"names": ["a", "b"], "colours": [[1, 2, 3], [0, 0, 256]]}, "colours[1][2]=256: expected"),
        ({"names": ["a", "b"], "things": ["c"]}, "['c'] are not class names"),
    ],
)
def test_wrong_classes_are_refused(spec: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        classes_from(spec)  # type: ignore[arg-type]


def test_wrong_things_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2\] are not train ids"):
        Classes(("a", "b"), palette(2), frozenset({2}))


@pytest.mark.parametrize(
    ("spec", "sentence"), [("gta", "'gta' is unknown"), ({256: 0}, "256 -> 0"), ({1: 19}, "1 -> 19")]
)
def test_wrong_id_maps_are_refused(spec: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        id_table(spec, CITYSCAPES)  # type: ignore[arg-type]
