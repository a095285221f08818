"""Draw shapes given in metres on three layers at once: colour, label and depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hrda_lit.demo.style import Colour, Range, Style, rgb, shade

WIDTH, HEIGHT = 512, 256  # of a finished image, in pixels
SCALE = 2  # colours are drawn at twice the size and averaged; labels are picked, never averaged
FAR = 1000.0  # depth of the sky in metres

Point = tuple[float, float, float]  # x, y, z in metres
Place = tuple[float, float]  # x, z in metres
Rectangle = tuple[float, float, float, float]  # x0, y0, x1, y1 in metres, facing the camera
Box = tuple[float, float, float, float, float, float]  # x0, x1, y0, y1, z0, z1 in metres


class Raw(IntEnum):
    """Name the raw Cityscapes ids that are drawn; GTA has the same."""

    EGO = 1
    STATIC = 4
    ROAD = 7
    SIDEWALK = 8
    BUILDING = 11
    WALL = 12
    FENCE = 13
    POLE = 17
    LIGHT = 19
    SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    BICYCLE = 33


@dataclass(frozen=True)
class Camera:
    """Project metres to pixels of the drawing: x to the right, y up from the ground, z ahead."""

    focal: float  # focal length in pixels of the drawing, above 0
    height: float  # metres above the ground, above 0
    horizon: float  # row in pixels of the drawing
    centre: float  # column straight ahead in pixels of the drawing
    offset: float  # metres from the middle of the road
    curve: float  # bend of the road, a parabola, in metres to the right per square metre ahead

    def lateral(self, x: float, z: float) -> float:
        """Return the metres from the optical axis to a point, negative on the left."""
        return x - self.offset + self.curve * z * z

    def project(self, point: Point) -> tuple[float, float]:
        """Project a point with z above 0 to (column, row) in pixels of the drawing."""
        x, y, z = point
        scale = self.focal / z
        return self.centre + scale * self.lateral(x, z), self.horizon + scale * (self.height - y)


class Painter:
    """Draw a scene, sampling colours and sizes as it goes; what is drawn later covers what came before.

    Colours are RGB in 0..255; None keeps the colours, as of what is behind a fence. Labels are raw ids;
    None keeps label and depth, as where a window is painted on a facade.
    """

    def __init__(self, rng: np.random.Generator, style: Style, camera: Camera) -> None:
        size = (WIDTH * SCALE, HEIGHT * SCALE)
        self.rng, self.style, self.camera = rng, style, camera
        self.colour = Image.new("RGB", size)
        self.label = Image.new("L", size, Raw.SKY)
        self.depth = Image.new("F", size, FAR)
        self._draws = tuple(ImageDraw.Draw(layer) for layer in (self.colour, self.label, self.depth))

    def sample(self, limits: Range) -> float:
        """Sample a number between two limits."""
        return float(self.rng.uniform(*limits))

    def pick(self, colours: tuple[Colour, ...], spread: float = 9.0) -> Colour:
        """Pick a colour and vary it by `spread` grey levels, all channels mostly together."""
        chosen = colours[int(self.rng.integers(len(colours)))]
        common, own = self.rng.normal(0.0, spread), self.rng.normal(0.0, spread / 3, 3).tolist()
        return rgb(*(value + common + extra for value, extra in zip(chosen, own, strict=True)))

    def polygon(self, points: Sequence[Point], colour: Colour | None, label: int | None = None) -> None:
        """Fill a polygon."""
        flat = [self.camera.project(point) for point in points]
        self.fill("polygon", flat, colour, label, sum(point[2] for point in points) / len(points))

    def plate(self, box: Rectangle, z: float, colour: Colour | None, label: int | None = None) -> None:
        """Fill an upright rectangle that faces the camera."""
        x0, y0, x1, y1 = box
        self.polygon([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], colour, label)

    def side(self, x: float, y: Range, z: Range, colour: Colour | None, label: int | None = None) -> None:
        """Fill an upright rectangle along the road."""
        (y0, y1), (z0, z1) = y, z
        self.polygon([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], colour, label)

    def disc(self, box: Rectangle, z: float, colour: Colour | None, label: int | None = None) -> None:
        """Fill an upright ellipse that faces the camera."""
        x0, y0, x1, y1 = box
        left, top = self.camera.project((x0, y1, z))
        self.fill("ellipse", (left, top, *self.camera.project((x1, y0, z))), colour, label, z)

    def bar(self, start: Point, end: Point, width: float, colour: Colour, label: int | None = None) -> None:
        """Draw a straight bar, `width` metres but at least one pixel wide."""
        flat = [self.camera.project(start), self.camera.project(end)]
        z = (start[2] + end[2]) / 2
        self.fill("line", flat, colour, label, z, width=max(1, round(width * self.camera.focal / z)))

    def strip(self, x: Range, z: Range, colour: Colour, label: int | None = None) -> None:
        """Fill a strip of the ground that follows the bend of the road."""
        steps = np.geomspace(z[0], z[1], 10 if z[1] > 2 * z[0] else 3).tolist()
        there, back = [(x[0], 0.0, at) for at in steps], [(x[1], 0.0, at) for at in reversed(steps)]
        self.polygon(there + back, colour, label)

    def slab(self, x: float, z: Range, outward: float, height: float, colour: Colour, label: Raw) -> None:
        """Draw an upright surface along the road and its near end, `outward` metres wide."""
        self.plate((x, 0.0, x + outward, height), z[0], shade(colour, 0.82), label)
        for piece in pairwise(sections(z)):
            self.side(x, (0, height), piece, colour, label)

    def block(self, box: Box, colour: Colour, label: Raw) -> None:
        """Draw a box: its visible side, its top if that is below the camera, and its near end."""
        x0, x1, y0, y1, z0, z1 = box
        for x, seen in ((x0, self.camera.lateral(x0, z0) > 0), (x1, self.camera.lateral(x1, z0) < 0)):
            if seen:
                self.side(x, (y0, y1), (z0, z1), shade(colour, 0.8), label)
        if y1 < self.camera.height:
            self.polygon([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], shade(colour, 1.15), label)
        self.plate((x0, y0, x1, y1), z0, colour, label)

    def near_side(self, box: Box) -> float:
        """Return the x of the side of a box that the camera sees."""
        return box[0] if self.camera.lateral(box[0], box[4]) > 0 else box[1]

    def fill(
        self, shape: str, where: Sequence[Any], colour: Colour | None, label: int | None, depth: float, **options: int
    ) -> None:
        """Draw a shape of Pillow, in pixels of the drawing, on all layers."""
        marks: tuple[float | None, float | None] = (None, None) if label is None else (int(label), depth)
        for layer, value in zip(self._draws, (colour, *marks), strict=True):
            if value is not None:
                getattr(layer, shape)(where, fill=value, **options)


def sections(z: Range) -> list[float]:
    """Divide a stretch along the road into pieces of about five metres, which follow its bend."""
    return np.linspace(*z, 2 + int((z[1] - z[0]) / 5)).tolist()


def place_camera(rng: np.random.Generator, style: Style, lane: float) -> Camera:
    """Choose a viewpoint in a lane (metres from the middle of the road), like those of GTA and Cityscapes."""
    return Camera(
        focal=float(rng.uniform(*style.focal)) * WIDTH * SCALE,
        height=float(rng.uniform(*style.height)),
        horizon=float(rng.uniform(*style.horizon)) * HEIGHT * SCALE,
        centre=(0.5 + rng.normal(0.0, 0.04)) * WIDTH * SCALE,
        offset=lane + rng.normal(0.0, 0.4),
        curve=rng.normal(0.0, 0.0011),
    )
