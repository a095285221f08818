"""Measure images and labels: sizes, classes, things, and constant borders."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from scipy import ndimage

from hrda_lit.data.folder import spread
from hrda_lit.data.images import read_pixels, read_size
from hrda_lit.system.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")
HEADERS = 200  # images whose size is read
LABELS = 128  # labels whose pixels are counted
VIEWS = 40  # images that are compared for constant borders
# Share of an image: the box of a thing's largest part is smaller, in three of four images with it.
THING = 0.03
# Share of the usual change from image to image: a border that changes less is a car's bonnet or a frame.
STILL = 0.15
DEEPEST = 0.3  # of a side that is searched for such a border

THINGS = {
    "person", "people", "pedestrian", "rider", "cyclist", "car", "vehicle", "truck", "bus", "train", "tram", "van",
    "motorcycle", "bicycle", "bike", "animal", "dog", "cat", "horse", "boat", "ship", "airplane", "sign", "light",
}  # fmt: skip
STUFF = {
    "road", "street", "lane", "sidewalk", "pavement", "building", "house", "wall", "fence", "vegetation", "tree",
    "grass", "terrain", "ground", "sky", "water", "background", "sand", "snow", "floor", "ceiling",
}  # fmt: skip
Size = tuple[int, int]
LabelReader = Callable[[str], np.ndarray]  # from an image to the train ids of its label


@dataclass(frozen=True)
class Measured:
    """Measurements of the images of a domain, and of their labels."""

    size: Size  # median (height, width)
    varied: bool  # whether sides differ by more than half of that
    pixels: np.ndarray  # (labels, classes): pixels of each class in the labels that were read
    # Share of an image that the box of a class's largest part stays below in three of four images
    # that show it; NaN for a class without pixels.
    boxes: np.ndarray
    # Depths of constant borders at (top, bottom, left, right), as shares of the side.
    still: tuple[float, float, float, float]

    @property
    def shares(self) -> np.ndarray:
        """Return the share of pixels of each class, of all that belong to one."""
        totals = self.pixels.sum(0)
        return np.asarray(totals / max(totals.sum(), 1))

    def things(self, names: Sequence[str]) -> list[int]:
        """Return the thing classes: those with usual names, and others that are small."""
        found = []
        for index, (name, box) in enumerate(zip(names, self.boxes, strict=True)):
            words = set(re.split(r"[\W_]+", name.lower()))
            if words & THINGS or (box < THING and not words & STUFF):
                found.append(index)
        return found


def measure(images: Sequence[Path], labels: Sequence[str], read: LabelReader, classes: int) -> Measured:
    """Measure images, and the labels of some of those in `labels`."""
    sizes = read_some(read_size, images, HEADERS, "reading sizes")
    height, width = (int(side) for side in np.median(sizes, axis=0))
    ratios = np.array(sizes) / (height, width)
    varied = bool((np.maximum(ratios, 1 / ratios) > 1.5).any())
    counts = read_some(lambda image: _measure_label(read(image), classes), labels, LABELS, "counting classes")
    pixels = np.array([row for row, _ in counts], np.int64).reshape(-1, classes)
    boxes = np.array([row for _, row in counts]).reshape(-1, classes)
    shown = [np.nanquantile(column, 0.75) if (column == column).any() else np.nan for column in boxes.T]
    return Measured((height, width), varied, pixels, np.array(shown), still_borders(images))


def read_some(read: Callable[[Item], Result], items: Sequence[Item], count: int, text: str) -> list[Result]:
    """Read at most `count` items, evenly over all; the data check reports those that cannot be read.

    Raises:
        ValueError: if none can be read.
        OSError: likewise.
    """
    results: list[Result] = []
    fault: ValueError | OSError | None = None
    for item in track(spread(items, count), text):
        try:
            results.append(read(item))
        except (ValueError, OSError) as error:
            fault = fault or error
    if fault is not None and not results:
        raise fault
    return results


def _measure_label(label: np.ndarray, classes: int) -> tuple[np.ndarray, list[float]]:
    """Return the pixels of each class, and the box of its largest part, see `Measured`."""
    pixels = np.bincount(label.ravel(), minlength=256)[:classes]
    return pixels, [_largest_box(label == index) if pixels[index] else np.nan for index in range(classes)]


def _largest_box(mask: np.ndarray) -> float:
    """Return the share of the image that the box around the largest part of a mask takes."""
    step = max(2, max(mask.shape) // 1024)
    parts, count = ndimage.label(mask[::step, ::step])
    if count == 0:  # thinner than two pixels
        return 0.0
    largest = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    rows, columns = ndimage.find_objects(parts)[largest - 1]
    return float((rows.stop - rows.start) * (columns.stop - columns.start) / parts.size)


def still_borders(images: Sequence[Path]) -> tuple[float, float, float, float]:
    """Find borders that are constant over all images: the bonnet of the camera's car, a frame, a banner.

    Each depth, at (top, bottom, left, right), is a share of the side; 0 for fewer than 8 images.
    """
    small = read_some(_view, images, VIEWS, "comparing borders")
    if len(small) < 8:
        return 0.0, 0.0, 0.0, 0.0
    change = np.stack(small).std(0)
    rows, columns = change.mean(1), change.mean(0)
    return _depth(rows), _depth(rows[::-1]), _depth(columns), _depth(columns[::-1])


def _view(path: Path) -> np.ndarray:
    picture = Image.fromarray(read_pixels(path)).convert("L")
    return np.asarray(picture.resize((64, 64)), np.float32)


def _depth(change: np.ndarray) -> float:
    still = change < STILL * np.median(change)
    depth = int(np.argmin(still)) if not still.all() else 0
    return depth / len(change) if depth <= DEEPEST * len(change) else 0.0
