"""A small data set on disk: smooth random images, labels of blocks, rare classes in few files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.folder import FolderDataset

CLASSES = {"names": ["road", "sky", "tree", "person"], "things": ["person"]}
RULE = {"images/": "labels/", ".jpg": ".png"}


def write_label(path: Path, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label.astype(np.uint8)).save(path)


def write_image(path: Path, rng: np.random.Generator, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def blocks(rng: np.random.Generator, size: tuple[int, int], person: bool) -> np.ndarray:
    """Sky above road, some ignored rows between, a tree; a person only where asked for."""
    height, width = size
    label = np.ones(size, np.uint8)
    label[height // 2 :] = 0
    label[height // 2 - 2 : height // 2] = 255
    left = int(rng.integers(0, width // 2))
    label[4:20, left : left + 12] = 2
    if person:
        label[height - 12 : height - 2, left : left + 8] = 3
    return label


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a data set and returns its root."""

    def make(name: str = "data", count: int = 6, size: tuple[int, int] = (48, 64), labelled: bool = True) -> Path:
        rng = np.random.default_rng(len(name) + count)
        root = tmp_path / name
        for index in range(count):
            for split in ("train", "val"):
                write_image(root / f"images/{split}/{index:03d}.jpg", rng, size)
                if labelled:
                    write_label(root / f"labels/{split}/{index:03d}.png", blocks(rng, size, person=index % 3 == 0))
        return root

    return make


@pytest.fixture
def make_dataset(make_folder: Callable[..., Path]) -> Callable[..., FolderDataset]:
    """Return a function that writes a data set and returns its reader."""

    def make(name: str = "data", labelled: bool = True, **options: object) -> FolderDataset:
        root = make_folder(name, labelled=labelled)
        options = {"classes": CLASSES, "images": "images/{split}/*.jpg", "label_rule": RULE} | options
        return FolderDataset(name, str(root), **options)  # type: ignore[arg-type]

    return make
