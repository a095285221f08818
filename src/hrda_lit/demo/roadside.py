"""Draw roadsides: buildings, walls, fences, trees, lamps, signs, lights, bins, persons, bicycles."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hrda_lit.demo.painter import Painter, Place, Point, Raw, sections
from hrda_lit.demo.style import Colour, Range, colour_pairs, colours, shade

GLASS = colours("3a424e 546274 282c34 969ea0")
TILES = colours("784234 545052 685448")
STEEL = colours("9ea8b2 aeb4b8 92a0ac")
SIGNS = colour_pairs("c42428 2454aa e2be32 ecece8", "ecece8 e8eaee 282828 c42428")
LAMPS = colours("f03228 fabe3c 3ce678")
CLOTHES = colours("2c325c b04032 be344a 34549c ce963a 963e78")
SKIN = colours("d6a88c 966c54 604436")
RUBBER: Colour = (24, 24, 27)


class Lot(NamedTuple):
    """Place of a building, wall or fence in metres: x of its front, its stretch of z, its height."""

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
        slope = [(x, height, z), (ridge, top, z), (ridge, top, zz), (x, height, zz)]
        painter.polygon(slope, tiles, Raw.BUILDING)


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
    """Draw a tree, or below 2.5 m a bush without a trunk; as in Cityscapes trunks are vegetation."""
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


def draw_post(painter: Painter, at: Place, side: int) -> None:
    """Draw a street lamp: a thin post, often with an arm over the road, which is on the left of `side` 1."""
    (x, z), rng = at, painter.rng
    steel, tall, wide = painter.pick(STEEL, 5.0), rng.uniform(4.5, 9.0), rng.uniform(0.15, 0.25)
    painter.bar((x, 0.0, z), (x, tall, z), wide, steel, Raw.POLE)
    if rng.random() < 0.6:
        tip = (x - side * rng.uniform(1.0, 2.2), tall + 0.3, z)
        painter.bar((x, tall, z), tip, wide * 0.7, steel, Raw.POLE)
        lamp = (tip[0] - 0.35, tip[1] - 0.08, tip[0] + 0.35, tip[1] + 0.08)
        painter.plate(lamp, z, shade(steel, 1.3), Raw.POLE)


def draw_sign(painter: Painter, at: Place) -> None:
    """Draw a traffic sign: round, square or triangular, on a thin post."""
    (x, z), rng = at, painter.rng
    rim, face = SIGNS[int(rng.integers(len(SIGNS)))]
    y, r = rng.uniform(2.3, 3.1), rng.uniform(0.42, 0.6)
    painter.bar((x, 0.0, z), (x, y, z), 0.13, painter.pick(STEEL, 5.0), Raw.POLE)
    kind = rng.integers(3)
    for colour, reach, label in ((rim, r, Raw.SIGN), (face, r * 0.62, None)):
        box = (x - reach, y - reach, x + reach, y + reach)
        if kind == 0:
            painter.disc(box, z, colour, label)
        elif kind == 1:
            painter.plate(box, z, colour, label)
        else:
            low = y - reach * 0.8
            painter.polygon([(x - reach, low, z), (x + reach, low, z), (x, y + reach, z)], colour, label)


def draw_light(painter: Painter, at: Place, side: int) -> None:
    """Draw a traffic light: a post with a dark box of lamps, sometimes a second on an arm."""
    (x, z), rng = at, painter.rng
    steel, lit = painter.pick(STEEL, 5.0), int(rng.integers(3))
    boxes = [(x, 2.4)]
    if rng.random() < 0.4:
        boxes.append((x - side * 3.2, 4.8))
        painter.bar((x, 2.4, z), (x, 5.4, z), 0.17, steel, Raw.POLE)
        painter.bar((x, 5.4, z), (x - side * 3.3, 5.6, z), 0.14, steel, Raw.POLE)
    painter.bar((x, 0.0, z), (x, 2.6, z), 0.17, steel, Raw.POLE)
    for middle, low in boxes:
        painter.plate((middle - 0.27, low, middle + 0.27, low + 1.25), z, (30, 32, 30), Raw.LIGHT)
        for lamp, colour in enumerate(LAMPS):
            y = low + 1.05 - 0.42 * lamp
            glow = colour if lamp == lit else shade(colour, 0.3)
            painter.disc((middle - 0.18, y - 0.18, middle + 0.18, y + 0.18), z, glow)


def draw_bin(painter: Painter, at: Place) -> None:
    """Draw a bin or a box: static, ignored by every evaluation."""
    (x, z), rng = at, painter.rng
    wide, tall = rng.uniform(0.25, 0.5), rng.uniform(0.7, 1.3)
    painter.plate((x - wide, 0.0, x + wide, tall), z, painter.pick(STEEL), Raw.STATIC)


def draw_person(painter: Painter, at: Place) -> None:
    """Draw a person who stands or walks."""
    x, z = at
    painter.strip((x - 0.3, x + 0.3), (z - 0.1, z + 0.4), (58, 58, 60))
    _draw_figure(painter, (x, 0.0, z), painter.rng.uniform(1.55, 1.9), Raw.PERSON)


def draw_bicycle(painter: Painter, at: Place, ridden: bool) -> None:
    """Draw a bicycle, seen from behind, from the side or in between, with or without its rider.

    As in Cityscapes the wheels are filled in the label.
    """
    (x, z), rng = at, painter.rng
    turn, r = rng.uniform(0.2, 1.0), 0.35
    paint = painter.pick(((30, 30, 34), (150, 40, 40), (50, 90, 140), (170, 172, 170)))
    for middle in (x - 0.52 * turn, x + 0.52 * turn):
        reach = max(r * turn, 0.05)
        painter.disc((middle - reach, 0.0, middle + reach, 2 * r), z, RUBBER, Raw.BICYCLE)
        painter.disc((middle - 0.8 * reach, 0.07, middle + 0.8 * reach, 2 * r - 0.07), z, (110, 110, 112))
    saddle, bars, pedals = (x - 0.2 * turn, 0.9, z), (x + 0.42 * turn, 1.02, z), (x - 0.1 * turn, r, z)
    for start, end in (
        (saddle, pedals),
        (bars, (x + 0.52 * turn, r, z)),
        (saddle, (bars[0], 0.8, z)),
        ((x - 0.52 * turn, r, z), pedals),
        ((bars[0] - 0.2, 1.05, z), (bars[0] + 0.2, 1.05, z)),
    ):
        painter.bar(start, end, 0.05, paint, Raw.BICYCLE)
    if ridden:
        _draw_figure(painter, (x - 0.05, 0.3, z), rng.uniform(1.45, 1.65), Raw.RIDER)


def _draw_figure(painter: Painter, foot: Point, tall: float, label: Raw) -> None:
    (x, y, z), rng = foot, painter.rng
    top, legs = painter.pick(CLOTHES), painter.pick(CLOTHES[:4])
    wide, stride, head = tall * rng.uniform(0.11, 0.15), tall * rng.uniform(0.02, 0.13), tall * 0.07
    hip, neck = y + tall * 0.48, y + tall * 0.84
    for step in (-stride, stride):
        painter.bar((x + step, y, z), (x + step * 0.3, hip, z), tall * 0.085, legs, label)
    waist = wide * 0.8
    torso = [(x - wide, neck, z), (x + wide, neck, z), (x + waist, hip - 0.1, z), (x - waist, hip - 0.1, z)]
    painter.polygon(torso, top, label)
    for side in (-1, 1):
        hand = (x + side * (wide + stride * 0.6), hip - 0.02, z)
        painter.bar((x + side * wide, neck, z), hand, tall * 0.05, shade(top, 0.85), label)
    painter.disc((x - head, neck, x + head, y + tall), z, painter.pick(SKIN, 8.0), label)
