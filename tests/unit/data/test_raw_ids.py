"""Train ids and raw ids are translated into each other."""

import numpy as np
import pytest
import torch

from hrda_lit.data.classes import CITYSCAPES, ID_MAPS, classes_from, id_table, raw_table

THREE = classes_from({"names": ["a", "b", "c"], "ignore": 250})


def test_cityscapes_has_its_published_label_ids() -> None:
    # cityscapesscripts/helpers/labels.py: id of road ... bicycle.
    published = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert raw_table("cityscapes", CITYSCAPES)[:19].tolist() == published


@pytest.mark.parametrize("name", sorted(ID_MAPS))
def test_reading_what_was_written_gives_the_train_ids_back(name: str) -> None:
    train = torch.arange(19)
    written = raw_table(name, CITYSCAPES)[train]
    assert np.array_equal(id_table(name, CITYSCAPES)[written.long()], train)


def test_of_several_raw_ids_the_first_listed_is_written() -> None:
    assert raw_table({9: 0, 4: 0, 3: 1, 8: 2, 7: 250}, THREE)[:3].tolist() == [9, 3, 8]


def test_without_a_map_train_ids_stay() -> None:
    assert raw_table(None, THREE)[:4].tolist() == [0, 1, 2, 250]


def test_a_class_without_raw_id_is_named() -> None:
    with pytest.raises(ValueError, match=r"no raw id for the classes \['b'\]; add them, or set ids=train"):
        raw_table({1: 0, 2: 2}, THREE)


def test_an_unknown_map_is_refused() -> None:
    with pytest.raises(ValueError, match="id_map 'kitti' is unknown"):
        raw_table("kitti", CITYSCAPES)
