from typing import Any

import numpy as np
import pytest

from hrda_lit.data.classes import classes_from
from hrda_lit.data.labels import ColourMap

CLASSES = classes_from({"names": ["road", "car"]})


def test_colours_become_train_ids() -> None:
    colours = ColourMap({"road": [128, 64, 128], 1: [[0, 0, 142], [0, 0, 70]], "ignore": [0, 0, 0]}, CLASSES)
    pixels = np.array([[[128, 64, 128], [0, 0, 142], [0, 0, 70], [0, 0, 0], [1, 2, 3], [255, 255, 255]]], np.uint8)
    label, unknown = colours(pixels)
    assert label.tolist() == [[0, 1, 1, 255, 255, 255]]
    assert unknown == {(1, 2, 3): 1, (255, 255, 255): 1}


@pytest.mark.parametrize(
    ("colours", "sentence"),
    [
        ({"rode": [0, 0, 0]}, "has 'rode', not a class"),
        ({2: [0, 0, 0]}, "has 2, not a class"),
        ({"road": [0, 0]}, "gives road .*need .red, green, blue"),
        ({"road": [0, 0, 256]}, "gives road"),
        ({"road": "black"}, "gives road"),
        ({"road": [0, 0, 0], "car": [0, 0, 0]}, "to two classes"),
        ({}, "is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(colours: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ColourMap(colours, CLASSES)
