"""What stands in rows along a street: buildings, walls, fences, trees."""

from itertools import pairwise

import numpy as np

from hrda_lit.demo.canvas import Canvas, Colour, Raw
from hrda_lit.demo.style import Style, pick, shade

GLASS: tuple[Colour, ...] = ((58, 66, 78), (84, 98, 116), (40, 44, 52), (150, 158, 160))
TILES: tuple[Colour, ...] = ((120, 66, 52), (84, 80, 82), (104, 84, 72))


def draw_facade(
    canvas: Canvas, rng: np.random.Generator, style: Style, side: int, box: tuple[float, float, float, float]
) -> None:
    """Draw a building along the road.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        side: -1 for the left, 1 for the right.
        box: (x of the facade, first z, last z, height) in metres.
    """
    x, z0, z1, height = box
    colour, glass = pick(rng, style.facades), pick(rng, GLASS)
    slab(canvas, x, (z0, z1), side, height, colour, Raw.BUILDING)
    base = shade(colour, rng.uniform(0.6, 0.95))
    shop = rng.uniform(0.5, 3.2)
    canvas.polygon([(x, 0, z0), (x, shop, z0), (x, shop, z1), (x, 0, z1)], base)
    bay, storey, share = rng.uniform(2.0, 3.6), rng.uniform(2.7, 3.4), rng.uniform(0.4, 0.7)
    for y in np.arange(shop + 0.8, height - 1.6, storey).tolist():
        for z in np.arange(max(z0, 3.0) + 0.6, min(z1, 75.0) - bay * share, bay).tolist():
            y1, zz = y + 1.5, z + bay * share
            canvas.polygon([(x, y, z), (x, y1, z), (x, y1, zz), (x, y, zz)], shade(glass, rng.uniform(0.8, 1.2)))
    eave = shade(colour, rng.uniform(0.5, 1.2))
    canvas.polygon([(x, height - 0.5, z0), (x, height, z0), (x, height, z1), (x, height - 0.5, z1)], eave)
    if rng.random() < 0.5:
        _draw_roof(canvas, pick(rng, TILES), side, box)


def _draw_roof(canvas: Canvas, tiles: Colour, side: int, box: tuple[float, float, float, float]) -> None:
    x, z0, z1, height = box
    ridge, top = x + side * 5.0, height + 3.0
    gable = [(x, height, z0), (ridge, top, z0), (x + side * 10.0, height, z0)]
    canvas.polygon(gable, shade(tiles, 1.2), Raw.BUILDING)
    for z, zz in pairwise(np.linspace(z0, z1, 3).tolist()):
        canvas.polygon([(x, height, z), (ridge, top, z), (ridge, top, zz), (x, height, zz)], tiles, Raw.BUILDING)


def slab(
    canvas: Canvas, x: float, along: tuple[float, float], side: int, height: float, colour: Colour, label: Raw
) -> None:
    """Draw an upright surface along the road and the end of it that faces the camera.

    Args:
        canvas: where to draw.
        x: of the surface, metres from the middle of the road.
        along: first and last z in metres.
        side: -1 or 1, where it extends away from the road.
        height: in metres.
        colour: RGB in 0..255.
        label: its raw id.
    """
    deep = 14.0 if label == Raw.BUILDING else 0.25
    canvas.plate((x, 0.0, x + side * deep, height), along[0], shade(colour, 0.82), label)
    edges = np.linspace(*along, 2 + int((along[1] - along[0]) / 5)).tolist()
    for z, zz in pairwise(edges):
        canvas.polygon([(x, 0, z), (x, height, z), (x, height, zz), (x, 0, zz)], colour, label)


def draw_wall(
    canvas: Canvas, rng: np.random.Generator, style: Style, side: int, box: tuple[float, float, float, float]
) -> None:
    """Draw a wall: the same materials as a building, but low, without windows, with a coping.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        side: -1 for the left, 1 for the right.
        box: (x, first z, last z, height) in metres.
    """
    x, z0, z1, height = box
    colour = pick(rng, style.facades)
    slab(canvas, x, (z0, z1), side, height, colour, Raw.WALL)
    top = height - 0.15
    canvas.polygon([(x, top, z0), (x, height, z0), (x, height, z1), (x, top, z1)], shade(colour, 1.15))


def draw_fence(
    canvas: Canvas, rng: np.random.Generator, style: Style, side: int, box: tuple[float, float, float, float]
) -> None:
    """Draw a fence of thin bars: railings one sees through, or boards in front of a backing like a wall.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        side: -1 for the left, 1 for the right.
        box: (x, first z, last z, height) in metres.

    As in Cityscapes the gaps belong to the fence.
    """
    x, z0, z1, height = box
    backed = rng.random() < 0.4
    wood = pick(rng, style.facades)
    iron = shade(wood, 0.6) if backed else pick(rng, ((50, 54, 56), (150, 152, 150), (70, 80, 70)))
    step = rng.uniform(0.25, 0.5)
    edges = np.linspace(z0, z1, 2 + int((z1 - z0) / 5)).tolist()
    for z, zz in pairwise(edges):
        corners = [(x, 0.0, z), (x, height, z), (x, height, zz), (x, 0.0, zz)]
        canvas.polygon(corners, wood if backed else None, Raw.FENCE)
    for z in np.arange(z0, min(z1, 70.0), step).tolist():
        canvas.bar(((x, 0.0, z), (x, height, z)), 0.05, iron)
    for y in (0.15, height):
        canvas.polygon([(x, y - 0.06, z0), (x, y, z0), (x, y, z1), (x, y - 0.06, z1)], iron)


def draw_tree(canvas: Canvas, rng: np.random.Generator, style: Style, at: tuple[float, float], size: float) -> None:
    """Draw a tree or a bush.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        at: (x, z) in metres.
        size: height in metres; below 2.5 it has no trunk.

    As in Cityscapes the trunk is vegetation.
    """
    x, z = at
    green = pick(rng, style.foliage, 8.0)
    wide, low = size * rng.uniform(0.26, 0.4) * style.squat, 0.0
    if size >= 2.5:
        low = size * rng.uniform(0.25, 0.4)
        brown = pick(rng, ((84, 70, 56), (96, 88, 78)), 8.0)
        canvas.bar(((x, 0.0, z), (x, low * 1.3, z)), 0.04 * size, brown, Raw.VEGETATION)
    for light in np.linspace(0.6, 1.15, 14).tolist():
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * 0.75
        cx = x + wide * reach * np.cos(angle)
        cy = (low + size) / 2 + (size - low) / 2 * reach * np.sin(angle) * 0.9
        r = wide * rng.uniform(0.35, 0.55)
        canvas.disc((cx - r, max(0.0, cy - r), cx + r, cy + r), z, shade(green, light), Raw.VEGETATION)
