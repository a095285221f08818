"""The stage of a street: sky, horizon and ground."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from hrda_lit.demo.painter import HEIGHT, SCALE, WIDTH, Painter, Raw
from hrda_lit.demo.roadside import draw_tree
from hrda_lit.demo.style import Colour, shade, tint

NEAR, HORIZON = 2.2, 220.0  # metres: the road is drawn between them


@dataclass(frozen=True)
class Profile:
    """Describe the cross-section of a street in metres."""

    road: float  # half width of the road
    verge: tuple[float, float]  # width of the terrain along the road, left and right; 0 for none
    walk: tuple[float, float]  # width of the sidewalk, left and right
    lanes: float  # width of a lane

    def kerb(self, side: int) -> float:
        """Return the x at which the sidewalk begins; `side` is -1 for the left, 1 for the right."""
        return side * (self.road + self.verge[side > 0])

    def edge(self, side: int) -> float:
        """Return the x at which the sidewalk ends and the facades begin."""
        at = side > 0
        return side * (self.road + self.verge[at] + self.walk[at])


def sample_profile(rng: np.random.Generator) -> Profile:
    """Sample the cross-section of a street."""
    lane = rng.uniform(3.0, 3.6)
    verge = [rng.uniform(1.0, 3.5) * (rng.random() < 0.4) for _ in range(2)]
    walk = rng.uniform(1.8, 4.0, 2).tolist()
    return Profile(lane * (1 if rng.random() < 0.6 else 2), (verge[0], verge[1]), (walk[0], walk[1]), lane)


def paint_sky(painter: Painter) -> None:
    """Paint a gradient and some clouds."""
    rng, skies = painter.rng, painter.style.skies
    zenith, low = skies[int(rng.integers(len(skies)))]
    size = (WIDTH * SCALE, HEIGHT * SCALE)
    ramp = Image.linear_gradient("L").resize((size[0], int(painter.camera.horizon)))
    sky = Image.composite(Image.new("RGB", ramp.size, low), Image.new("RGB", ramp.size, zenith), ramp)
    clouds = Image.fromarray((rng.random((6, 8)) * 255).astype(np.uint8))
    clouds = clouds.resize(sky.size, Image.Resampling.BICUBIC)
    white = Image.new("RGB", sky.size, (244, 245, 247))
    painter.colour.paste(low, (0, 0, *size))
    painter.colour.paste(Image.composite(white, sky, clouds.point(lambda value: max(0, value - 128))))


def paint_ground(painter: Painter, profile: Profile) -> None:
    """Paint terrain, sidewalks and road; they look so alike that only shape and place distinguish them."""
    rng = painter.rng
    base = painter.pick(painter.style.grounds, 10.0)
    grass, drift = rng.uniform(0.8, 1.7), rng.normal(0.0, 3.0, 3).tolist()
    walk = shade(tint(base, (12 + drift[0], 3 + drift[1], drift[2])), rng.uniform(1.02, 1.2))
    field = shade(tint(base, (-8 * grass, 8 * grass, -22 * grass)), rng.uniform(0.8, 1.05))
    plain = [(-1e4, 0.0, NEAR), (1e4, 0.0, NEAR), (1e5, 0.0, 5e3), (-1e5, 0.0, 5e3)]
    painter.polygon(plain, field, Raw.TERRAIN)
    for side in (-1, 1):
        kerb = profile.kerb(side)
        painter.strip((kerb, profile.edge(side)), (NEAR, HORIZON), walk, Raw.SIDEWALK)
        painter.strip((kerb, kerb + side * 0.18), (NEAR, HORIZON), shade(walk, rng.uniform(0.85, 1.2)))
    painter.strip((-profile.road, profile.road), (NEAR, HORIZON), base, Raw.ROAD)
    _paint_marks(painter, profile, base)


def _paint_marks(painter: Painter, profile: Profile, road: Colour) -> None:
    rng = painter.rng
    white = shade(road, rng.uniform(1.35, 1.9))
    phase = rng.uniform(0, 6)
    middle = rng.random() < 0.5
    for x in np.arange(-profile.road + profile.lanes, profile.road - 1.0, profile.lanes).tolist():
        if middle and abs(x) < 0.6:
            painter.strip((x - 0.08, x + 0.08), (NEAR, 120.0), white)
            continue
        for z in np.arange(NEAR + phase, 90.0, 6.5).tolist():
            painter.strip((x - 0.07, x + 0.07), (z, z + 3.0), white)
    for x in (-profile.road + 0.3, profile.road - 0.3):
        if rng.random() < 0.4:
            painter.strip((x - 0.06, x + 0.06), (NEAR, 120.0), white)
    if rng.random() < 0.25:
        z = rng.uniform(9, 30)
        for x in np.arange(-profile.road + 0.4, profile.road - 0.5, 1.0).tolist():
            painter.strip((x, x + 0.5), (z, z + 3.0), white)


def draw_backdrop(painter: Painter) -> None:
    """Draw far houses and trees, which close the view at the horizon."""
    rng = painter.rng
    for x in np.arange(-190.0, 190.0, 16.0).tolist():
        if rng.random() < 0.5:
            box = (x, 0.0, x + rng.uniform(10, 24), rng.uniform(4, 18))
            painter.plate(box, HORIZON, painter.pick(painter.style.facades), Raw.BUILDING)
        else:
            draw_tree(painter, (x, HORIZON - 10), rng.uniform(8, 20))
