"""Rows along a street: buildings, walls, fences, trees."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hrda_lit.demo.painter import Painter, Place, Raw, sections
from hrda_lit.demo.style import Colour, Range, colours, shade

GLASS = colours("3a424e 546274 282c34 969ea0")
TILES = colours("784234 545052 685448")


class Lot(NamedTuple):
    """The ground of a building, wall or fence: x of its front, its stretch of z, and its height, in metres."""

    x: float
    z: Range
    height: float


def draw_facade(painter: Painter, side: int, lot: Lot) -> None:
    """Draw a building on the left (side -1) or right (1) of the road."""
    (x, (z0, z1), height), rng = lot, painter.rng
    colour, glass = painter.pick(painter.style.facades), painter.pick(GLASS)
    painter.slab(x, lot.z, side * 14.0, height, colour, Raw.BUILDING)
    base = shade(colour, rng.uniform(0.6, 0.95))
    shop = rng.uniform(0.5, 3.2)
    painter.side(x, (0, shop), lot.z, base)
    bay, storey, share = rng.uniform(2.0, 3.6), rng.uniform(2.7, 3.4), rng.uniform(0.4, 0.7)
    for y in np.arange(shop + 0.8, height - 1.6, storey).tolist():
        for z in np.arange(max(z0, 3.0) + 0.6, min(z1, 75.0) - bay * share, bay).tolist():
            painter.side(x, (y, y + 1.5), (z, z + bay * share), shade(glass, rng.uniform(0.8, 1.2)))
    painter.side(x, (height - 0.5, height), lot.z, shade(colour, rng.uniform(0.5, 1.2)))
    if rng.random() < 0.5:
        _draw_roof(painter, painter.pick(TILES), side, lot)


def _draw_roof(painter: Painter, tiles: Colour, side: int, lot: Lot) -> None:
    x, (z0, z1), height = lot
    ridge, top = x + side * 5.0, height + 3.0
    gable = [(x, height, z0), (ridge, top, z0), (x + side * 10.0, height, z0)]
    painter.polygon(gable, shade(tiles, 1.2), Raw.BUILDING)
    for z, zz in pairwise(np.linspace(z0, z1, 3).tolist()):
        painter.polygon([(x, height, z), (ridge, top, z), (ridge, top, zz), (x, height, zz)], tiles, Raw.BUILDING)


def draw_wall(painter: Painter, side: int, lot: Lot) -> None:
    """Draw a wall: the same materials as a building, but low, without windows, with a coping."""
    colour = painter.pick(painter.style.facades)
    painter.slab(lot.x, lot.z, side * 0.25, lot.height, colour, Raw.WALL)
    painter.side(lot.x, (lot.height - 0.15, lot.height), lot.z, shade(colour, 1.15))


def draw_fence(painter: Painter, side: int, lot: Lot) -> None:
    """Draw a fence of thin bars: railings one sees through, or boards in front of a backing like a wall.

    As in Cityscapes the gaps belong to the fence.
    """
    (x, (z0, z1), height), rng = lot, painter.rng
    backed = rng.random() < 0.4
    wood = painter.pick(painter.style.facades)
    iron = shade(wood, 0.6) if backed else painter.pick(((50, 54, 56), (150, 152, 150), (70, 80, 70)))
    step = rng.uniform(0.25, 0.5)
    for z, zz in pairwise(sections(lot.z)):
        painter.side(x, (0.0, height), (z, zz), wood if backed else None, Raw.FENCE)
    for z in np.arange(z0, min(z1, 70.0), step).tolist():
        painter.bar((x, 0.0, z), (x, height, z), 0.05, iron)
    for y in (0.15, height):
        painter.side(x, (y - 0.06, y), lot.z, iron)


def draw_tree(painter: Painter, at: Place, size: float) -> None:
    """Draw a tree, or a bush without a trunk below a height of 2.5 m; as in Cityscapes trunks are vegetation."""
    (x, z), rng = at, painter.rng
    green = painter.pick(painter.style.foliage, 8.0)
    wide, low = size * rng.uniform(0.26, 0.4) * painter.style.squat, 0.0
    if size >= 2.5:
        low = size * rng.uniform(0.25, 0.4)
        brown = painter.pick(((84, 70, 56), (96, 88, 78)), 8.0)
        painter.bar((x, 0.0, z), (x, low * 1.3, z), 0.04 * size, brown, Raw.VEGETATION)
    for light in np.linspace(0.6, 1.15, 14).tolist():
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * 0.75
        cx = x + wide * reach * np.cos(angle)
        cy = (low + size) / 2 + (size - low) / 2 * reach * np.sin(angle) * 0.9
        r = wide * rng.uniform(0.35, 0.55)
        painter.disc((cx - r, max(0.0, cy - r), cx + r, cy + r), z, shade(green, light), Raw.VEGETATION)
