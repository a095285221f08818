"""The stage of a street: sky, horizon and ground."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from hrda_lit.demo.canvas import HEIGHT, SCALE, WIDTH, Canvas, Colour, Raw
from hrda_lit.demo.rows import draw_tree
from hrda_lit.demo.style import Style, pick, shade, tint

NEAR, HORIZON = 2.2, 220.0  # metres: the road is drawn between them


@dataclass(frozen=True)
class Profile:
    """Describe the cross-section of a street in metres.

    Args:
        road: half width of the road.
        verge: width of the strip of terrain beside the road, left and right; 0 for none.
        walk: width of the sidewalk, left and right.
        lanes: width of a lane.
    """

    road: float
    verge: tuple[float, float]
    walk: tuple[float, float]
    lanes: float

    def edge(self, side: int) -> float:
        """Say where the sidewalk ends and the facades begin.

        Args:
            side: -1 for the left, 1 for the right.

        Returns:
            Metres from the middle of the road, negative on the left.
        """
        at = side > 0
        return side * (self.road + self.verge[at] + self.walk[at])


def strip(
    canvas: Canvas, across: tuple[float, float], along: tuple[float, float], colour: Colour, label: int | None
) -> None:
    """Fill a strip of the ground that follows the bend of the road.

    Args:
        canvas: where to draw.
        across: first and last x in metres.
        along: first and last z in metres, above 0.
        colour: RGB in 0..255.
        label: raw id, or None to paint only.
    """
    steps = np.geomspace(along[0], along[1], 10 if along[1] > 2 * along[0] else 3).tolist()
    left = [(across[0], 0.0, z) for z in steps]
    right = [(across[1], 0.0, z) for z in reversed(steps)]
    canvas.polygon(left + right, colour, label)


def paint_sky(canvas: Canvas, rng: np.random.Generator, style: Style) -> None:
    """Paint a gradient and some clouds.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
    """
    zenith, low = style.skies[int(rng.integers(len(style.skies)))]
    size = (WIDTH * SCALE, HEIGHT * SCALE)
    ramp = Image.linear_gradient("L").resize((size[0], int(canvas.camera.horizon)))
    sky = Image.composite(Image.new("RGB", ramp.size, low), Image.new("RGB", ramp.size, zenith), ramp)
    clouds = Image.fromarray((rng.random((6, 8)) * 255).astype(np.uint8)).resize(sky.size, Image.Resampling.BICUBIC)
    white = Image.new("RGB", sky.size, (244, 245, 247))
    canvas.colour.paste(low, (0, 0, *size))
    canvas.colour.paste(Image.composite(white, sky, clouds.point(lambda value: max(0, value - 128))))


def paint_ground(canvas: Canvas, rng: np.random.Generator, style: Style, profile: Profile) -> None:
    """Paint terrain, sidewalks and road; they look so alike that only shape and place tell them apart.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        profile: the cross-section.
    """
    base = pick(rng, style.grounds, 10.0)
    grass, drift = rng.uniform(0.8, 1.7), rng.normal(0.0, 3.0, 3).tolist()
    walk = shade(tint(base, (12 + drift[0], 3 + drift[1], drift[2])), rng.uniform(1.02, 1.2))
    field = shade(tint(base, (-8 * grass, 8 * grass, -22 * grass)), rng.uniform(0.8, 1.05))
    plain = [(-1e4, 0.0, NEAR), (1e4, 0.0, NEAR), (1e5, 0.0, 5e3), (-1e5, 0.0, 5e3)]
    canvas.polygon(plain, field, Raw.TERRAIN)
    for side in (-1, 1):
        edge = profile.edge(side)
        kerb = side * (profile.road + profile.verge[side > 0])
        strip(canvas, (kerb, edge), (NEAR, HORIZON), walk, Raw.SIDEWALK)
        strip(canvas, (kerb, kerb + side * 0.18), (NEAR, HORIZON), shade(walk, rng.uniform(0.85, 1.2)), None)
    strip(canvas, (-profile.road, profile.road), (NEAR, HORIZON), base, Raw.ROAD)
    _paint_marks(canvas, rng, profile, base)


def _paint_marks(canvas: Canvas, rng: np.random.Generator, profile: Profile, road: Colour) -> None:
    white = shade(road, rng.uniform(1.35, 1.9))
    phase = rng.uniform(0, 6)
    middle = rng.random() < 0.5
    lines = np.arange(-profile.road + profile.lanes, profile.road - 1.0, profile.lanes).tolist()
    for x in lines:
        if middle and abs(x) < 0.6:
            strip(canvas, (x - 0.08, x + 0.08), (NEAR, 120.0), white, None)
            continue
        for z in np.arange(NEAR + phase, 90.0, 6.5).tolist():
            strip(canvas, (x - 0.07, x + 0.07), (z, z + 3.0), white, None)
    for x in (-profile.road + 0.3, profile.road - 0.3):
        if rng.random() < 0.4:
            strip(canvas, (x - 0.06, x + 0.06), (NEAR, 120.0), white, None)
    if rng.random() < 0.25:
        z = rng.uniform(9, 30)
        for x in np.arange(-profile.road + 0.4, profile.road - 0.5, 1.0).tolist():
            strip(canvas, (x, x + 0.5), (z, z + 3.0), white, None)


def draw_backdrop(canvas: Canvas, rng: np.random.Generator, style: Style) -> None:
    """Draw what closes the view at the horizon: far houses and trees.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
    """
    for x in np.arange(-190.0, 190.0, 16.0).tolist():
        if rng.random() < 0.5:
            box = (x, 0.0, x + rng.uniform(10, 24), rng.uniform(4, 18))
            canvas.plate(box, HORIZON, pick(rng, style.facades), Raw.BUILDING)
        else:
            draw_tree(canvas, rng, style, (x, HORIZON - 10), rng.uniform(8, 20))
