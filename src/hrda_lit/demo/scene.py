"""Compose a street: choose what stands where, then draw it from far to near."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from hrda_lit.demo import roadside, street, traffic
from hrda_lit.demo.painter import HEIGHT, SCALE, WIDTH, Painter, Raw, place_camera
from hrda_lit.demo.roadside import Lot
from hrda_lit.demo.street import Profile
from hrda_lit.demo.style import Style
from hrda_lit.ops.rng import fold

Thing = tuple[float, Callable[[], None]]  # (depth it is sorted by, what draws it)
# name -> (share of the scenes that have it, step of its Weyl sequence); rare in the real sets, rare here
RARE = {
    "wall": (0.22, 2**0.5),
    "fence": (0.25, 3**0.5),
    "light": (0.25, 5**0.5),
    "bicycle": (0.28, 7**0.5),
    "truck": (0.12, 11**0.5),
    "bus": (0.12, 13**0.5),
    "crowd": (0.3, 17**0.5),
}


def rare_things(seed: int, split: str, index: int) -> frozenset[str]:
    """Choose rare things of a scene out of `RARE`, by Weyl sequences: 40 scenes have some of each."""
    starts = {name: fold(seed, "demo", split, name) / 2**63 for name in RARE}
    return frozenset(name for name, (share, step) in RARE.items() if (starts[name] + index * step) % 1 < share)


def draw_scene(rng: np.random.Generator, style: Style, rare: frozenset[str]) -> Painter:
    """Draw one street scene with the `rare` things: colours without air and sensor, labels and depths."""
    profile = street.sample_profile(rng)
    lane = 0.5 * profile.lanes * (1 if profile.road < 6 else 3)
    painter = Painter(rng, style, place_camera(rng, style, lane))
    street.paint_sky(painter)
    street.paint_ground(painter, profile)
    street.draw_backdrop(painter)
    scene = _Scene(painter, profile, rare)
    things = [*scene.rows(), *scene.furniture(), *scene.traffic(), *scene.people()]
    for _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint()
    if style.bonnet:
        _draw_bonnet(painter)
    return painter


class _Scene:
    """Place the things of a street."""

    def __init__(self, painter: Painter, profile: Profile, rare: frozenset[str]) -> None:
        self.painter, self.rng, self.profile, self.rare = painter, painter.rng, profile, rare

    def rows(self) -> Iterator[Thing]:
        """Place buildings, walls, fences and trees on both sides."""
        for side in (-1, 1):
            z = self.rng.uniform(-4, 3)
            built = self.rng.uniform(0.3, 0.9)
            while z < 150:
                end = z + self.rng.uniform(7, 22)
                yield from self._segment(side, max(z, street.NEAR), max(end, 4.0), built)
                z = end + (self.rng.uniform(2, 8) if self.rng.random() < 0.2 else 0.0)

    def _segment(self, side: int, z0: float, z1: float, built: float) -> Iterator[Thing]:
        rng, x = self.rng, self.profile.edge(side)
        options = sorted(self.rare & {"wall", "fence"})
        if options and z0 < 60 and rng.random() < 0.35:
            kind = options[int(rng.integers(len(options)))]
            paint = roadside.draw_wall if kind == "wall" else roadside.draw_fence
            yield z1, partial(paint, self.painter, side, Lot(x, (z0, z1), rng.uniform(1.0, 2.6)))
            x += side * rng.uniform(3, 7)
        if rng.random() < built:
            lot = Lot(x, (z0, z1), rng.uniform(4.5, 17))
            yield z1 + 0.01, partial(roadside.draw_facade, self.painter, side, lot)
            return
        x += side * 1.5
        for z in np.arange(z0 + 2, z1, rng.uniform(2.5, 6.0)).tolist():
            size = rng.uniform(1.0, 2.4) if rng.random() < 0.4 else rng.uniform(4, 10)
            place = (x + side * rng.uniform(0, 6), max(z, 5.0))
            yield z1 + 0.01 + z * 1e-6, partial(roadside.draw_tree, self.painter, place, size)

    def furniture(self) -> Iterator[Thing]:
        """Place posts, signs, bins and lights."""
        rng, painter = self.rng, self.painter
        for side in (-1, 1):
            x = side * (self.profile.road + self.profile.verge[side > 0] + 0.5)
            for z in np.arange(rng.uniform(7, 30), 110, rng.uniform(14, 30)).tolist():
                yield z, partial(roadside.draw_post, painter, (x, z), side)
            for z in rng.uniform(13, 65, rng.poisson(1.4)).tolist():
                yield z, partial(roadside.draw_sign, painter, (x + rng.normal(0, 0.3), z))
            if rng.random() < 0.15:
                z = rng.uniform(8, 40)
                yield z, partial(roadside.draw_bin, painter, (x + side, z))
            if "light" in self.rare:
                for z in rng.uniform(12, 55, 1 + rng.poisson(0.6)).tolist():
                    yield z, partial(roadside.draw_light, painter, (x, z), side)

    def traffic(self) -> list[Thing]:
        """Place cars, and make room for a truck or a bus."""
        things: list[Thing] = []
        for x, oncoming, z in self._car_places():
            things.append((z, partial(traffic.draw_car, self.painter, (x, z), oncoming)))
        for name, paint in (("truck", traffic.draw_truck), ("bus", traffic.draw_bus)):
            if name in self.rare:
                x, oncoming = self._lane()
                z = self.rng.uniform(11, 38)
                things = [thing for thing in things if not z - 6 < thing[0] < z + 14]
                things.append((z, partial(paint, self.painter, (x, z), oncoming)))
        return things

    def people(self) -> Iterator[Thing]:
        """Place persons and bicycles."""
        rng, profile = self.rng, self.profile
        for _ in range(rng.poisson(9 if "crowd" in self.rare else 2.5)):
            z = rng.uniform(8, 75)
            x = rng.uniform(profile.edge(-1), profile.edge(1)) if rng.random() < 0.15 else self._on_walk()
            yield z, partial(roadside.draw_person, self.painter, (x, z))
        if "bicycle" in self.rare:
            for _ in range(1 + rng.poisson(0.8)):
                z, ridden = rng.uniform(8, 40), rng.random() < 0.75
                x = float(rng.choice((-1, 1)) * (profile.road - 0.7)) if ridden else self._on_walk()
                yield z, partial(roadside.draw_bicycle, self.painter, (x, z), ridden)

    def _car_places(self) -> list[tuple[float, bool, float]]:
        rng, profile = self.rng, self.profile
        places: list[tuple[float, bool, float]] = []
        for side in (-1, 1):
            if profile.road > 5 and rng.random() < 0.5:
                row = np.arange(rng.uniform(4, 20), rng.uniform(30, 90), rng.uniform(5.6, 8))
                places += [(side * (profile.road - 1.1), side < 0, z) for z in row.tolist() if rng.random() < 0.8]
        for z in rng.uniform(9, 100, rng.poisson(4.5)).tolist():
            x, oncoming = self._lane()
            if all(abs(x - other) > 2 or abs(z - far) > 7 for other, _, far in places):
                places.append((x, oncoming, z))
        return places

    def _lane(self) -> tuple[float, bool]:
        lanes = max(1, round(self.profile.road / self.profile.lanes))
        side = -1 if self.rng.random() < 0.55 else 1
        return side * self.profile.lanes * (0.5 + int(self.rng.integers(lanes))), side < 0

    def _on_walk(self) -> float:
        side = -1 if self.rng.random() < 0.5 else 1
        widest = max(0.4, self.profile.walk[side > 0] - 0.3)
        return self.profile.edge(side) - side * self.rng.uniform(0.3, widest)


def _draw_bonnet(painter: Painter) -> None:
    rise, grey = painter.rng.uniform(0.06, 0.1) * HEIGHT, int(painter.rng.integers(28, 60))
    wide, high = WIDTH * SCALE, HEIGHT * SCALE
    corners = (-0.1 * wide, high - rise * SCALE, 1.1 * wide, high + 4 * rise * SCALE)
    painter.fill("ellipse", corners, (grey, grey, grey + 4), Raw.EGO, 1.0)
