"""Scores near and far from class borders, and on small and large objects."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from hrda_lit.data.classes import Classes
from hrda_lit.inference.iou import class_iou, mean_iou

WIDTHS = (2, 4, 8, 16)  # the last pixel of each band along the class borders
SIDES = (32, 96)  # objects below 32 x 32 pixels are small, below 96 x 96 medium, as in COCO
BANDS = ("1-2 px", "3-4 px", "5-8 px", "9-16 px", "> 16 px")
SIZES = ("< 32x32 px", "32x32 to 96x96 px", ">= 96x96 px")
_NO_BAND = 255


class Structure(NamedTuple):
    """The band along class borders and the object of each pixel of a label."""

    band: Int[Tensor, "H W"]  # index into BANDS; 255 for ignored pixels
    objects: Int[Tensor, "H W"]  # number of the object, from 1; 0 outside thing classes
    owners: Int[Tensor, " N"]  # train id of each object


def find_structure(label: Int[Tensor, "H W"], classes: Classes) -> Structure:
    """Find the class borders and the objects of a label of train ids.

    Objects are connected regions of one thing class, corners included: touching cars are one
    object, a car behind a pole is two.
    """
    distance = border_distance(label, classes.ignore, WIDTHS[-1])
    widths = torch.tensor(WIDTHS, dtype=distance.dtype, device=label.device)
    band = torch.bucketize(distance, widths).to(torch.uint8)
    band[label == classes.ignore] = _NO_BAND
    return Structure(band, *_find_objects(label, classes))


def border_distance(label: Int[Tensor, "H W"], ignore: int, limit: int) -> Int[Tensor, "H W"]:
    """Measure the Chebyshev distance to the nearest pixel of another class.

    Args:
        label: train ids.
        ignore: id of ignored pixels; they make no border.
        limit: in pixels, >= 1; farther pixels get limit + 1.

    Returns:
        1 for pixels next to another class; undefined for ignored pixels.
    """
    known = label != ignore
    # Largest id around each pixel, and the negative of the smallest; ignored pixels lose against every id.
    nothing = torch.tensor(-1000, dtype=torch.int16, device=label.device)
    largest = torch.where(known, label.short(), nothing)
    smallest = torch.where(known, -label.short(), nothing)
    distance = torch.ones_like(largest)
    for _ in range(limit):
        largest, smallest = _dilate(largest), _dilate(smallest)
        distance += largest == -smallest
    return distance


def _dilate(x: Int[Tensor, "H W"]) -> Int[Tensor, "H W"]:
    """Take the maximum of 3 x 3 pixels."""
    for axis in (0, 1):
        length, grown = x.shape[axis] - 1, x.clone()
        for here, beside in ((0, 1), (1, 0)):
            pixels = grown.narrow(axis, here, length)
            torch.maximum(pixels, x.narrow(axis, beside, length), out=pixels)
        x = grown
    return x


def _find_objects(label: Tensor, classes: Classes) -> tuple[Tensor, Tensor]:
    """Return the number of the object at each pixel, from 1, and the train id of each object."""
    ids, owners = label.cpu().numpy(), list[int]()
    objects = np.zeros(ids.shape, np.int32)
    for thing in sorted(classes.things & set(np.unique(ids).tolist())):
        numbers, count = ndimage.label(ids == thing, np.ones((3, 3)))
        objects += np.where(numbers, numbers + len(owners), 0).astype(np.int32)
        owners += [thing] * count
    owned = torch.tensor(owners, dtype=torch.long, device=label.device)
    return torch.from_numpy(objects).to(label.device), owned


def _count_pixels(numbers: Tensor, owners: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Count the pixels of each object."""
    return numbers.flatten().bincount(minlength=len(owners) + 1)[1:]


def _size_index(pixels: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Return the index into SIZES of each object."""
    limits = torch.tensor([side**2 for side in SIDES], device=pixels.device)
    return torch.bucketize(pixels, limits, right=True)


class Breakdown:
    """Count pixels of any number of images by class, border distance and size of the object."""

    def __init__(self, classes: Classes, device: str | torch.device = "cpu") -> None:
        self._classes, count = classes, len(classes)
        # One matrix per band: bands do not overlap, so their sum is that of all pixels.
        self._bands = [MulticlassConfusionMatrix(count, validate_args=False).to(device) for _ in BANDS]
        # By class and size: objects, their pixels, right ones, and wrong pixels of predicted objects.
        self._objects = torch.zeros(4, count, len(SIZES), dtype=torch.long, device=device)

    def update(self, prediction: Int[Tensor, "H W"], label: Int[Tensor, "H W"], where: Structure) -> None:
        """Count the train ids of one image; `where` is the structure of its label."""
        for index, band in enumerate(self._bands):
            chosen = where.band == index
            band.update(prediction[chosen], label[chosen])
        right, ignore = prediction == label, self._classes.ignore
        objects, pixels, hits, wrongs = self._objects
        own = _count_pixels(where.objects, where.owners)
        places = (where.owners, _size_index(own))
        objects.index_put_(places, torch.ones_like(own), accumulate=True)
        pixels.index_put_(places, own, accumulate=True)
        hits.index_put_(places, _count_pixels(where.objects[right], where.owners), accumulate=True)
        # A wrong pixel belongs to no object of the label: the object that it is predicted as gives the size.
        numbers, owners = _find_objects(prediction.masked_fill(label == ignore, ignore), self._classes)
        places = (owners, _size_index(_count_pixels(numbers, owners)))
        wrongs.index_put_(places, _count_pixels(numbers[~right], owners), accumulate=True)

    @property
    def confusion(self) -> Int[Tensor, "C C"]:
        """Return all labelled pixels by label (rows) and prediction (columns)."""
        return torch.stack([band.confmat for band in self._bands]).sum(0)

    @property
    def border_miou(self) -> dict[str, float]:
        """Return the mIoU of the pixels at each distance from the nearest class border of the label."""
        mious = [mean_iou(class_iou(band.confmat)) for band in self._bands]
        return dict(zip(BANDS, mious, strict=True))

    @property
    def size_miou(self) -> dict[str, float]:
        """Return the mIoU of thing classes by size of the object.

        Pixels of an object, right and missed, count for its size; a wrong pixel counts for the
        size of the predicted object that it is part of.
        """
        _, pixels, hits, wrongs = self._objects.double()
        iou: Float[Tensor, "C S"] = hits / (pixels + wrongs)
        return {name: mean_iou(column) for name, column in zip(SIZES, iou.T, strict=True)}

    @property
    def size_recall(self) -> dict[str, float]:
        """Return the share of the pixels of thing objects that are predicted right, by size of the object.

        It is averaged over the classes that have objects of the size, as mIoU is over classes.
        """
        _, pixels, hits, _ = self._objects.double()
        recall: Float[Tensor, "C S"] = hits / pixels
        return {name: mean_iou(column) for name, column in zip(SIZES, recall.T, strict=True)}

    @property
    def size_objects(self) -> dict[str, int]:
        """Return how many objects of each size the labels hold."""
        return dict(zip(SIZES, self._objects[0].sum(0).tolist(), strict=True))
