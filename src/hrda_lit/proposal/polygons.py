"""Labels that are polygons: COCO's and labelme's JSON files, drawn into label images."""

import json
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hrda_lit.proposal.discover import walk
from hrda_lit.proposal.label_space import IGNORE

Ring = list[tuple[float, float]]


@dataclass(frozen=True)
class Region:
    """One annotated region: polygons, or COCO's run lengths."""

    name: str  # of its class
    rings: list[Ring]  # polygons in pixels (x, y)
    runs: tuple[list[int], tuple[int, int]] | None  # run lengths, column by column, and (height, width)
    area: float  # pixels, about


@dataclass(frozen=True)
class Polygons:
    """Annotations of a folder."""

    names: list[str]  # classes, in the order of their ids in COCO, alphabetically in labelme
    regions: dict[str, list[Region]]  # by the path of the image below the folder
    sizes: dict[str, tuple[int, int]]  # (height, width) of each image
    origin: str  # format of the annotations, for messages
    background: int = IGNORE  # id of pixels in no polygon

    def draw(self, image: str) -> np.ndarray:
        """Draw the label of an image, uint8 ids, small regions over large ones."""
        height, width = self.sizes[image]
        canvas = Image.new("L", (width, height), self.background)
        pen = ImageDraw.Draw(canvas)
        for region in sorted(self.regions[image], key=lambda one: -one.area):
            index = self.names.index(region.name)
            for ring in region.rings:
                if len(ring) > 2:
                    pen.polygon(ring, fill=index)
            if region.runs is not None:
                canvas.paste(index, mask=Image.fromarray(np.uint8(255) * _from_runs(*region.runs)))
        return np.asarray(canvas)


def find_polygons(root: Path, images: Sequence[str], role: str) -> Polygons | None:
    """Read the annotations of COCO or labelme below a folder of images; None where there are none.

    A damaged file is an error where there are others, or labels are needed: of the role "source".

    Raises:
        ValueError: if a file of annotations is damaged or names images that are not there.
    """
    files, broken = _read_files(root)
    coco = [(name, content) for name, content in files if "annotations" in content]
    if broken and (files or role == "source"):
        raise ValueError(broken)
    if not files:
        return None
    there = _Images(root, images)
    try:
        polygons = _coco(coco, there) if coco else _labelme(files, there)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"the annotations below {root} lack {error}; export them once more.") from error
    if not any(region.area for region in chain.from_iterable(polygons.regions.values())):
        raise ValueError(f"{root / files[0][0]} has no polygons; export segmentations, not boxes.")
    return polygons


def _read_files(root: Path) -> tuple[list[tuple[str, Any]], str]:
    """Read the annotations of COCO and labelme, and name a file that is damaged."""
    files, broken = [], ""
    for name in sorted(walk(root, (".json",))):
        try:
            content = json.loads((root / name).read_bytes())
        except (ValueError, RecursionError) as error:
            broken = f"{root / name} is no JSON that can be read ({error}); export it once more."
            continue
        keys = set(content) if isinstance(content, dict) else set()
        if keys >= {"images", "annotations", "categories"} or keys >= {"shapes", "imagePath"}:
            files.append((name, content))
    return files, broken


def find_unread(root: Path, images: Sequence[str]) -> str:
    """Name annotations in a format that is not read, as a part of a sentence; "" where there are none."""
    stems = {PurePosixPath(image).stem for image in images}
    for name in sorted(walk(root, (".json", ".xml", ".txt"))):
        if not name.endswith(".txt") or PurePosixPath(name).stem in stems:
            return f"; {name} has a format that is not read: export label images, COCO or labelme"
    return ""


def _coco(files: Sequence[tuple[str, Any]], there: "_Images") -> Polygons:
    categories = _categories([content for _, content in files])
    regions: dict[str, list[Region]] = {}
    sizes = {}
    for file, content in files:
        paths = {}
        for image in content["images"]:
            path = paths[image["id"]] = there.locate(file, image["file_name"])
            regions.setdefault(path, [])
            sizes[path] = (int(image["height"]), int(image["width"]))
        for annotation in content["annotations"]:
            name = categories[annotation["category_id"]]
            regions[paths[annotation["image_id"]]].append(_region(name, annotation["segmentation"]))
    return Polygons(list(dict.fromkeys(categories.values())), regions, sizes, "COCO")


def _categories(contents: Sequence[Any]) -> dict[int, str]:
    """Return the names of the categories that annotations use, in the order of their ids."""
    annotations = list(chain.from_iterable(content["annotations"] for content in contents))
    categories = chain.from_iterable(content["categories"] for content in contents)
    if annotations and "segments_info" in annotations[0]:
        raise ValueError(
            "COCO's panoptic annotations are not read; convert them with panopticapi's "
            "panoptic2semantic_segmentation and give the folder of its PNG files."
        )
    used = {annotation["category_id"] for annotation in annotations}
    names = {category["id"]: category["name"] for category in categories}
    return {number: names[number] for number in sorted(used)}


def _region(name: str, shape: Any) -> Region:
    if isinstance(shape, dict):
        counts = shape["counts"]
        runs = _decompress(counts) if isinstance(counts, str) else counts
        return Region(name, [], (runs, (int(shape["size"][0]), int(shape["size"][1]))), sum(runs[1::2]))
    if any(len(ring) % 2 for ring in shape):
        raise ValueError(f"a polygon of {name} has an odd number of coordinates; export it once more.")
    rings = [list(zip(ring[::2], ring[1::2], strict=True)) for ring in shape]
    return Region(name, rings, None, sum(map(_area, rings)))


def _labelme(files: Sequence[tuple[str, Any]], there: "_Images") -> Polygons:
    regions, sizes = {}, {}
    for file, content in files:
        image = there.locate(file, str(content["imagePath"]).replace("\\", "/"))
        sizes[image] = (int(content["imageHeight"]), int(content["imageWidth"]))
        rings = [(str(shape["label"]), _ring(shape)) for shape in content["shapes"]]
        regions[image] = [Region(name, [ring], None, _area(ring)) for name, ring in rings]
    names = sorted({region.name for region in chain.from_iterable(regions.values())})
    return Polygons(names, regions, sizes, "labelme")


def _ring(shape: Any) -> Ring:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type", "polygon")
    if kind == "rectangle":
        (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*points, strict=True))
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    if kind != "polygon":
        raise ValueError(f"labelme's shape '{kind}' is not read; replace such shapes by polygons.")
    return points


def _area(ring: Ring) -> float:
    turned = [*ring[1:], *ring[:1]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(ring, turned, strict=True))) / 2


class _Images:
    """Find the image that annotations name: next to them, below the root, or the only one of that name."""

    def __init__(self, root: Path, images: Sequence[str]) -> None:
        self.root, self.images = root, set(images)
        self.by_name: dict[str, list[str]] = {}
        for image in images:
            self.by_name.setdefault(PurePosixPath(image).name, []).append(image)

    def locate(self, file: str, name: str) -> str:
        for folder in (posixpath.dirname(file), ""):
            path = posixpath.normpath(posixpath.join(folder, name))
            if path in self.images:
                return path
        same = self.by_name.get(PurePosixPath(name).name, [])
        if len(same) != 1:
            raise ValueError(
                f"{self.root / file} names the image {name!r}, of which there are {len(same)}; add it, or "
                "remove it from the annotations."
            )
        return same[0]


def _decompress(text: str) -> list[int]:
    """Read COCO's compressed runs: 5 bits a sign; from the third on, differences to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for sign in text.encode():
        bits = sign - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def _from_runs(counts: Iterable[int], size: tuple[int, int]) -> np.ndarray:
    runs = np.fromiter(counts, np.int64)
    flat = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
    if flat.size != size[0] * size[1]:
        raise ValueError(f"runs of {flat.size} pixels in an image of {size[0]} x {size[1]}; export again.")
    return flat.reshape(size[1], size[0]).T
