"""Small data sets with one fault each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.folder import DataSplit, FolderDataset

CLASSES = {"names": ["road", "sky"]}
HALVES = np.repeat(np.array([[0], [1]], np.uint8), 12, axis=0).repeat(32, axis=1)


@pytest.fixture
def make_part(tmp_path: Path) -> Callable[..., DataSplit]:
    """Return a function that writes a data set of one label for all images, and returns it as a part of a run."""

    def make(role: str = "source", label: np.ndarray | None = None, count: int = 12, **options: object) -> DataSplit:
        root = tmp_path / role
        for index in range(count):
            for folder, suffix in (("images", "jpg"), ("labels", "png")):
                (root / folder).mkdir(parents=True, exist_ok=True)
                pixels = np.zeros((24, 32, 3), np.uint8) if folder == "images" else label
                Image.fromarray(HALVES if pixels is None else pixels).save(root / f"{folder}/{index:02d}.{suffix}")
        rule = {"images/": "labels/", ".jpg": ".png"}
        arguments = {"images": "images/*.jpg", "label_rule": rule, "classes": CLASSES} | options
        return DataSplit(role, FolderDataset(role, str(root), **arguments), "train", True)  # type: ignore[arg-type]

    return make
