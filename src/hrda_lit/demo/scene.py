"""Compose a street: choose what stands where, then draw it from far to near."""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import ImageDraw

from hrda_lit.demo import furniture, people, rows, street, traffic
from hrda_lit.demo.canvas import HEIGHT, SCALE, WIDTH, Canvas, Raw
from hrda_lit.demo.style import Style, place_camera
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
    """Say which rare things a scene has; they are spread evenly, so that 40 scenes have some of each.

    Args:
        seed: of the domains.
        split: source, train or val.
        index: of the scene, from 0.

    Returns:
        Names out of `RARE`.

    Source: H. Weyl, multiples of an irrational number fill [0, 1) evenly.
    """
    starts = {name: fold(seed, "demo", split, name) / 2**63 for name in RARE}
    return frozenset(name for name, (share, step) in RARE.items() if (starts[name] + index * step) % 1 < share)


def draw_scene(rng: np.random.Generator, style: Style, rare: frozenset[str]) -> Canvas:
    """Draw one street scene.

    Args:
        rng: where the draws come from.
        style: the domain.
        rare: which of `RARE` it has.

    Returns:
        The canvas with colours without air and sensor, labels and depths.
    """
    profile = _profile(rng)
    canvas = Canvas(place_camera(rng, style, 0.5 * profile.lanes * (1 if profile.road < 6 else 3)))
    street.paint_sky(canvas, rng, style)
    street.paint_ground(canvas, rng, style, profile)
    street.draw_backdrop(canvas, rng, style)
    things = _rows(canvas, rng, style, profile, rare)
    things += _furniture(canvas, rng, profile, rare) + _traffic(canvas, rng, style, profile, rare)
    for _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint()
    if style.bonnet:
        _draw_bonnet(canvas, rng)
    return canvas


def _profile(rng: np.random.Generator) -> street.Profile:
    lane = rng.uniform(3.0, 3.6)
    verge = [rng.uniform(1.0, 3.5) * (rng.random() < 0.4) for _ in range(2)]
    walk = rng.uniform(1.8, 4.0, 2).tolist()
    return street.Profile(lane * (1 if rng.random() < 0.6 else 2), (verge[0], verge[1]), (walk[0], walk[1]), lane)


def _rows(
    canvas: Canvas, rng: np.random.Generator, style: Style, profile: street.Profile, rare: frozenset[str]
) -> list[Thing]:
    things: list[Thing] = []
    for side in (-1, 1):
        z = rng.uniform(-4, 3)
        built = rng.uniform(0.3, 0.9)
        while z < 150:
            end = z + rng.uniform(7, 22)
            things += _segment(
                canvas,
                rng,
                style,
                side,
                (profile.edge(side), max(z, street.NEAR), max(end, 4.0)),
                built,
                rare,
            )
            z = end + (rng.uniform(2, 8) if rng.random() < 0.2 else 0.0)
    return things


def _segment(
    canvas: Canvas,
    rng: np.random.Generator,
    style: Style,
    side: int,
    place: tuple[float, float, float],
    built: float,
    rare: frozenset[str],
) -> list[Thing]:
    x, z0, z1 = place
    things: list[Thing] = []
    options = sorted(rare & {"wall", "fence"})
    if options and z0 < 60 and rng.random() < 0.35:
        kind = options[int(rng.integers(len(options)))]
        paint = rows.draw_wall if kind == "wall" else rows.draw_fence
        box = (x, z0, z1, rng.uniform(1.0, 2.6))
        things.append((z1, partial(paint, canvas, rng, style, side, box)))
        x += side * rng.uniform(3, 7)
    if rng.random() < built:
        box = (x, z0, z1, rng.uniform(4.5, 17))
        things.append((z1 + 0.01, partial(rows.draw_facade, canvas, rng, style, side, box)))
        return things
    x += side * 1.5
    for z in np.arange(z0 + 2, z1, rng.uniform(2.5, 6.0)).tolist():
        size = rng.uniform(1.0, 2.4) if rng.random() < 0.4 else rng.uniform(4, 10)
        spot = (x + side * rng.uniform(0, 6), max(z, 5.0))
        things.append((z1 + 0.01 + z * 1e-6, partial(rows.draw_tree, canvas, rng, style, spot, size)))
    return things


def _furniture(canvas: Canvas, rng: np.random.Generator, profile: street.Profile, rare: frozenset[str]) -> list[Thing]:
    things: list[Thing] = []
    for side in (-1, 1):
        x = side * (profile.road + profile.verge[side > 0] + 0.5)
        for z in np.arange(rng.uniform(7, 30), 110, rng.uniform(14, 30)).tolist():
            things.append((z, partial(furniture.draw_post, canvas, rng, (x, z), side)))
        for z in rng.uniform(13, 65, rng.poisson(1.4)).tolist():
            things.append((z, partial(furniture.draw_sign, canvas, rng, (x + rng.normal(0, 0.3), z))))
        if rng.random() < 0.15:
            z = rng.uniform(8, 40)
            things.append((z, partial(furniture.draw_bin, canvas, rng, (x + side, z))))
        if "light" in rare:
            for z in rng.uniform(12, 55, 1 + rng.poisson(0.6)).tolist():
                things.append((z, partial(furniture.draw_light, canvas, rng, (x, z), side)))
    return things


def _traffic(
    canvas: Canvas, rng: np.random.Generator, style: Style, profile: street.Profile, rare: frozenset[str]
) -> list[Thing]:
    things = _cars(canvas, rng, style, profile)
    for name, paint in (("truck", traffic.draw_truck), ("bus", traffic.draw_bus)):
        if name in rare:
            x, oncoming = _lane(rng, profile)
            z = rng.uniform(11, 38)
            things = [thing for thing in things if not z - 6 < thing[0] < z + 14]
            things.append((z, partial(paint, canvas, rng, style, (x, z), oncoming)))
    for _ in range(rng.poisson(9 if "crowd" in rare else 2.5)):
        z = rng.uniform(8, 75)
        x = rng.uniform(profile.edge(-1), profile.edge(1)) if rng.random() < 0.15 else _on_walk(rng, profile)
        things.append((z, partial(people.draw_person, canvas, rng, (x, z))))
    if "bicycle" in rare:
        for _ in range(1 + rng.poisson(0.8)):
            z, ridden = rng.uniform(8, 40), rng.random() < 0.75
            x = rng.choice((-1, 1)) * (profile.road - 0.7) if ridden else _on_walk(rng, profile)
            things.append((z, partial(people.draw_bicycle, canvas, rng, (float(x), z), ridden)))
    return things


def _cars(canvas: Canvas, rng: np.random.Generator, style: Style, profile: street.Profile) -> list[Thing]:
    places: list[tuple[float, bool, float]] = []
    for side in (-1, 1):
        if profile.road > 5 and rng.random() < 0.5:
            row = np.arange(rng.uniform(4, 20), rng.uniform(30, 90), rng.uniform(5.6, 8))
            places += [(side * (profile.road - 1.1), side < 0, z) for z in row.tolist() if rng.random() < 0.8]
    for z in rng.uniform(9, 100, rng.poisson(4.5)).tolist():
        x, oncoming = _lane(rng, profile)
        if all(abs(x - other) > 2 or abs(z - far) > 7 for other, _, far in places):
            places.append((x, oncoming, z))
    return [(z, partial(traffic.draw_car, canvas, rng, style, (x, z), away)) for x, away, z in places]


def _lane(rng: np.random.Generator, profile: street.Profile) -> tuple[float, bool]:
    lanes = max(1, round(profile.road / profile.lanes))
    side = -1 if rng.random() < 0.55 else 1
    return side * profile.lanes * (0.5 + int(rng.integers(lanes))), side < 0


def _on_walk(rng: np.random.Generator, profile: street.Profile) -> float:
    side = -1 if rng.random() < 0.5 else 1
    return profile.edge(side) - side * rng.uniform(0.3, max(0.4, profile.walk[side > 0] - 0.3))


def _draw_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    rise, shade = rng.uniform(0.06, 0.1) * HEIGHT, int(rng.integers(28, 60))
    wide, high = WIDTH * SCALE, HEIGHT * SCALE
    corners = (-0.1 * wide, high - rise * SCALE, 1.1 * wide, high + 4 * rise * SCALE)
    ImageDraw.Draw(canvas.colour).ellipse(corners, fill=(shade, shade, shade + 4))
    ImageDraw.Draw(canvas.label).ellipse(corners, fill=int(Raw.EGO))
    ImageDraw.Draw(canvas.depth).ellipse(corners, fill=1.0)
