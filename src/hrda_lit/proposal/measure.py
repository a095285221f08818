"""Measure images and labels: sizes, classes, things, and borders that never change."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from hrda_lit.data.folder import FolderDataset, Sample, spread
from hrda_lit.data.images import read_size
from hrda_lit.system.progress import counted

HEADERS = 200  # images whose size is read
LABELS = 128  # labels whose pixels are counted
VIEWS = 40  # images that are compared for borders that never change
THING = 0.03  # of an image: the box of a thing's largest part is smaller, in three of four images that show it
STILL = (
    0.15  # of the usual change from image to image: a border that changes less shows the camera's own car or a frame
)
DEEPEST = 0.3  # of a side that is looked at for such a border

THINGS = {
    "person", "people", "pedestrian", "rider", "cyclist", "car", "vehicle", "truck", "bus", "train", "tram", "van",
    "motorcycle", "bicycle", "bike", "animal", "dog", "cat", "horse", "boat", "ship", "airplane", "sign", "light",
}  # fmt: skip
STUFF = {
    "road", "street", "lane", "sidewalk", "pavement", "building", "house", "wall", "fence", "vegetation", "tree",
    "grass", "terrain", "ground", "sky", "water", "background", "sand", "snow", "floor", "ceiling",
}  # fmt: skip
Size = tuple[int, int]


@dataclass(frozen=True)
class Measured:
    """What was measured of the images of a set, and of their labels.

    Args:
        size: (height, width) in the middle of all.
        varied: whether sides differ by more than half of that.
        images: number of images.
        pixels: pixels of each class in the labels that were read; (labels, classes).
        areas: pixels of each of these labels.
        boxes: share of an image that the box of a class's largest part stays below in three of four images that show
            it; NaN for a class without pixels.
        still: rows or columns at (top, bottom, left, right), as shares of the side, that never change.
    """

    size: Size
    varied: bool
    images: int
    pixels: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    still: tuple[float, float, float, float]

    @property
    def shares(self) -> np.ndarray:
        """Return the share of pixels of each class, of all that belong to one."""
        totals = self.pixels.sum(0)
        shares: np.ndarray = totals / max(totals.sum(), 1)
        return shares

    def things(self, names: Sequence[str]) -> list[int]:
        """Return the classes that are things: by their names where these are usual, else small where they are."""
        found = []
        for index, (name, box) in enumerate(zip(names, self.boxes, strict=True)):
            words = set(re.split(r"[\W_]+", name.lower()))
            if words & THINGS or (box < THING and not words & STUFF):
                found.append(index)
        return found


def measure(dataset: FolderDataset, samples: Sequence[Sample]) -> Measured:
    """Measure the images of a set, and the labels of those samples that have one."""
    sizes = [read_size(sample.image) for sample in counted(spread(samples, HEADERS), "reading sizes")]
    middle = (int(np.median([h for h, _ in sizes])), int(np.median([w for _, w in sizes])))
    varied = any(max(h / middle[0], middle[0] / h, w / middle[1], middle[1] / w) > 1.5 for h, w in set(sizes))
    labels = spread([sample.label for sample in samples if sample.label is not None], LABELS)
    count = len(dataset.classes)
    pixels, boxes = np.zeros((len(labels), count), np.int64), np.full((len(labels), count), np.nan)
    areas = np.zeros(len(labels), np.int64)
    for row, path in enumerate(counted(labels, "counting classes")):
        label = dataset.labels.read(path).numpy()
        areas[row] = label.size
        pixels[row] = np.bincount(label.ravel(), minlength=256)[:count]
        for index in np.flatnonzero(pixels[row]):
            boxes[row, index] = _largest_box(label == index)
    shown = np.array([np.nanquantile(column, 0.75) if (column == column).any() else np.nan for column in boxes.T])
    return Measured(middle, varied, len(samples), pixels, areas, shown, still_borders([s.image for s in samples]))


def _largest_box(mask: np.ndarray) -> float:
    """Return the share of the image that the box around the largest part of a mask takes."""
    parts, count = ndimage.label(mask[::2, ::2])
    if count == 0:  # thinner than two pixels
        return 0.0
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    rows, columns = ndimage.find_objects(parts)[largest - 1]
    return float((rows.stop - rows.start) * (columns.stop - columns.start) / parts.size)


def still_borders(images: Sequence[Path]) -> tuple[float, float, float, float]:
    """Find borders that look alike in all images of a camera: the bonnet of its car, a frame, a banner.

    Returns:
        Depth at the top, bottom, left and right, as a share of the side; 0 for fewer than 8 images.
    """
    some = spread(images, VIEWS)
    if len(some) < 8:
        return 0.0, 0.0, 0.0, 0.0
    small = []
    for path in some:
        with Image.open(path) as image:
            small.append(np.asarray(image.convert("L").resize((64, 64)), np.float32))
    change = np.stack(small).std(0)
    rows, columns = change.mean(1), change.mean(0)
    return (
        _depth(rows), _depth(rows[::-1]), _depth(columns), _depth(columns[::-1]),
    )  # fmt: skip


def _depth(change: np.ndarray) -> float:
    still = change < STILL * np.median(change)
    depth = int(np.argmin(still)) if not still.all() else 0
    return depth / len(change) if depth <= DEEPEST * len(change) else 0.0
