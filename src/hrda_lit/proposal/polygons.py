"""Labels that are polygons: COCO's and labelme's JSON files, drawn into label images."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hrda_lit.proposal.discover import IMAGES, walk

IGNORE = 255
Ring = list[tuple[float, float]]


@dataclass(frozen=True)
class Region:
    """One annotated region.

    Args:
        name: its class.
        rings: polygons in pixels (x, y), or none where `runs` are given.
        runs: COCO's run lengths, column by column, of (height, width); None for polygons.
        area: pixels, about.
    """

    name: str
    rings: list[Ring]
    runs: tuple[list[int], tuple[int, int]] | None
    area: float


@dataclass(frozen=True)
class Polygons:
    """Annotations of a folder.

    Args:
        names: classes, in the order of their ids in COCO, alphabetically in labelme.
        regions: regions of each image, by its path below the folder.
        sizes: (height, width) of each image.
        origin: format of the annotations, for messages.
    """

    names: list[str]
    regions: dict[str, list[Region]]
    sizes: dict[str, tuple[int, int]]
    origin: str

    def draw(self, image: str, background: int) -> np.ndarray:
        """Draw the label of an image as uint8 ids, small regions over large ones, `background` in no region."""
        height, width = self.sizes[image]
        canvas = Image.new("L", (width, height), background)
        pen = ImageDraw.Draw(canvas)
        for region in sorted(self.regions[image], key=lambda one: -one.area):
            index = self.names.index(region.name)
            for ring in region.rings:
                if len(ring) > 2:
                    pen.polygon(ring, fill=index)
            if region.runs is not None:
                canvas.paste(index, mask=Image.fromarray(np.uint8(255) * _from_runs(*region.runs)))
        return np.asarray(canvas)


def find_polygons(root: Path) -> Polygons | None:
    """Read the annotations of COCO or labelme below a folder; None where there are none.

    Raises:
        ValueError: if a file of annotations is damaged or names images that are not there.
    """
    files = [(root / name, _read(root / name)) for name in sorted(walk(root, (".json",)))]
    coco = [(path, content) for path, content in files
            if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content)]  # fmt: skip
    labelme = [(path, content) for path, content in files
               if isinstance(content, dict) and {"shapes", "imagePath"} <= set(content)]  # fmt: skip
    try:
        if coco:
            return _coco(root, coco)
        return _labelme(root, labelme) if labelme else None
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"the annotations below {root} lack {error}; export them once more.") from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON that can be read ({error}); export it once more.") from error


def _coco(root: Path, files: Sequence[tuple[Path, Any]]) -> Polygons:
    by_name = _by_name(root)
    used = {a["category_id"] for _, content in files for a in content["annotations"]}
    categories = {c["id"]: c["name"] for _, content in files for c in content["categories"] if c["id"] in used}
    names = list(dict.fromkeys(categories[number] for number in sorted(categories)))
    regions: dict[str, list[Region]] = {}
    sizes = {}
    for path, content in files:
        images = {image["id"]: _locate(root, path.parent, image["file_name"], by_name) for image in content["images"]}
        for image in content["images"]:
            regions[images[image["id"]]] = []
            sizes[images[image["id"]]] = (int(image["height"]), int(image["width"]))
        for annotation in content["annotations"]:
            regions[images[annotation["image_id"]]].append(_region(annotation, categories))
    return Polygons(names, regions, sizes, "COCO")


def _region(annotation: Any, categories: dict[int, str]) -> Region:
    name, shape, area = categories[annotation["category_id"]], annotation["segmentation"], float(annotation["area"])
    if isinstance(shape, dict):
        counts, size = shape["counts"], (int(shape["size"][0]), int(shape["size"][1]))
        return Region(name, [], (_decompress(counts) if isinstance(counts, str) else counts, size), area)
    return Region(name, [list(zip(ring[::2], ring[1::2], strict=True)) for ring in shape], None, area)


def _labelme(root: Path, files: Sequence[tuple[Path, Any]]) -> Polygons:
    by_name = _by_name(root)
    regions, sizes = {}, {}
    for path, content in files:
        image = _locate(root, path.parent, str(content["imagePath"]).replace("\\", "/"), by_name)
        sizes[image] = (int(content["imageHeight"]), int(content["imageWidth"]))
        rings = [(str(shape["label"]), _ring(shape)) for shape in content["shapes"]]
        regions[image] = [Region(name, [ring], None, _area(ring)) for name, ring in rings]
    names = sorted({region.name for some in regions.values() for region in some})
    return Polygons(names, regions, sizes, "labelme")


def _ring(shape: Any) -> Ring:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type", "polygon")
    if kind == "rectangle":
        (left, top), (right, bottom) = points
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    if kind != "polygon":
        raise ValueError(f"labelme's shape '{kind}' covers no area that is known; make polygons of such shapes.")
    return points


def _area(ring: Ring) -> float:
    turned = [*ring[1:], *ring[:1]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(ring, turned, strict=True))) / 2


def _by_name(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image in walk(root, IMAGES):
        found.setdefault(PurePosixPath(image).name, []).append(image)
    return found


def _locate(root: Path, folder: Path, name: str, by_name: dict[str, list[str]]) -> str:
    """Return the image that annotations name: beside them, below the root, or the only one of that name."""
    for place in (folder, root):
        path = place / name
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return path.resolve().relative_to(root.resolve()).as_posix()
    same = by_name.get(PurePosixPath(name).name, [])
    if len(same) != 1:
        raise ValueError(f"annotations in {folder} name the image {name!r}, of which there are {len(same)}; add it.")
    return same[0]


def _decompress(text: str) -> list[int]:
    """Read COCO's compressed run lengths: 5 bits a sign, differences to the run before the last from the third on."""
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
        raise ValueError(f"runs of {flat.size} pixels in an image of {size[0]} x {size[1]}; export them once more.")
    return flat.reshape(size[1], size[0]).T
