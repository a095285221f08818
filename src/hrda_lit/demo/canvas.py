"""Draw polygons given in metres on three canvases at once: colour, label and depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 512, 256  # of a finished image, in pixels
SCALE = 2  # colours are drawn at twice the size and averaged; labels are picked, never averaged
FAR = 1000.0  # depth of the sky in metres

Colour = tuple[int, int, int]
Point = tuple[float, float, float]


class Raw(IntEnum):
    """Name the raw Cityscapes ids that are drawn.

    Source: the label definitions of Cityscapes (GTA uses the same).
    """

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
    """Project metres to pixels of the drawing: x to the right, y up from the ground, z ahead.

    Args:
        focal: focal length in pixels of the drawing, above 0.
        height: of the camera above the ground in metres, above 0.
        horizon: row of the horizon in pixels of the drawing.
        centre: column straight ahead in pixels of the drawing.
        offset: of the camera from the middle of the road in metres.
        curve: of the road, in metres to the right per square metre ahead.

    Source: the pinhole camera; a small pitch only moves the horizon.
    """

    focal: float
    height: float
    horizon: float
    centre: float
    offset: float
    curve: float

    def lateral(self, x: float, z: float) -> float:
        """Say how far to the right of the optical axis a point is.

        Args:
            x: metres from the middle of the road.
            z: metres ahead.

        Returns:
            Metres, negative on the left.

        Source: the road bends as a parabola.
        """
        return x - self.offset + self.curve * z * z

    def project(self, point: Point) -> tuple[float, float]:
        """Project one point.

        Args:
            point: (x, y, z) in metres, z above 0.

        Returns:
            (column, row) in pixels of the drawing.

        Source: the pinhole camera.
        """
        x, y, z = point
        scale = self.focal / z
        return self.centre + scale * self.lateral(x, z), self.horizon + scale * (self.height - y)


class Canvas:
    """Hold the picture that is being drawn; what is drawn later covers what came before.

    Args:
        camera: where the picture is taken from.

    Source: the painter's algorithm.
    """

    def __init__(self, camera: Camera) -> None:
        size = (WIDTH * SCALE, HEIGHT * SCALE)
        self.camera = camera
        self.colour = Image.new("RGB", size)
        self.label = Image.new("L", size, Raw.SKY)
        self.depth = Image.new("F", size, FAR)
        self._draws = tuple(ImageDraw.Draw(layer) for layer in (self.colour, self.label, self.depth))

    def polygon(self, points: Sequence[Point], colour: Colour | None, label: int | None = None) -> None:
        """Fill a polygon.

        Args:
            points: its corners in metres.
            colour: RGB in 0..255, or None to leave the colours as they are (what one sees through a fence).
            label: raw id, or None to leave label and depth as they are (a window is painted on a facade).
        """
        flat = [self.camera.project(point) for point in points]
        self._lay("polygon", flat, (colour, label, sum(point[2] for point in points) / len(points)))

    def plate(
        self,
        box: tuple[float, float, float, float],
        z: float,
        colour: Colour | None,
        label: int | None = None,
    ) -> None:
        """Fill an upright rectangle that faces the camera.

        Args:
            box: (x0, y0, x1, y1) in metres.
            z: metres ahead, above 0.
            colour: as for `polygon`.
            label: as for `polygon`.
        """
        x0, y0, x1, y1 = box
        self.polygon([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], colour, label)

    def disc(
        self,
        box: tuple[float, float, float, float],
        z: float,
        colour: Colour | None,
        label: int | None = None,
    ) -> None:
        """Fill an upright ellipse that faces the camera.

        Args:
            box: (x0, y0, x1, y1) around it in metres.
            z: metres ahead, above 0.
            colour: as for `polygon`.
            label: as for `polygon`.
        """
        x0, y0, x1, y1 = box
        left, top = self.camera.project((x0, y1, z))
        corners = (left, top, *self.camera.project((x1, y0, z)))
        self._lay("ellipse", corners, (colour, label, z))

    def bar(self, ends: tuple[Point, Point], width: float, colour: Colour, label: int | None = None) -> None:
        """Draw a straight bar.

        Args:
            ends: both ends in metres.
            width: in metres; drawn at least one pixel wide.
            colour: RGB in 0..255.
            label: as for `polygon`.
        """
        flat = [self.camera.project(end) for end in ends]
        z = (ends[0][2] + ends[1][2]) / 2
        pixels = max(1, round(width * self.camera.focal / z))
        self._lay("line", flat, (colour, label, z), width=pixels)

    def _lay(
        self, shape: str, where: Sequence[Any], look: tuple[Colour | None, int | None, float], **options: int
    ) -> None:
        colour, label, depth = look
        marks: tuple[float | None, float | None] = (None, None) if label is None else (int(label), depth)
        for layer, fill in zip(self._draws, (colour, *marks), strict=True):
            if fill is not None:
                getattr(layer, shape)(where, fill=fill, **options)
