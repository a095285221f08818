"""Draw cars, trucks and buses, placed by (x of the middle, z of the near end)."""

from itertools import pairwise

import numpy as np

from hrda_lit.demo.painter import Box, Painter, Place, Raw
from hrda_lit.demo.style import Colour, colours, shade

PAINTS = colours("1e2024 464a50 969aa0 e0e2e4 961e20 243e78 28543c bea03c")
CARGO = colours("d6d6d2 b4b0a4 465c82 963c32")
LIVERIES = colours("c43c2c debe46 4678a0 cecec8")
DARK: Colour = (24, 24, 27)
PANE: Colour = (52, 62, 72)


def draw_car(painter: Painter, at: Place, oncoming: bool) -> None:
    """Draw a car."""
    (x, z), rng = at, painter.rng
    half, long = rng.uniform(0.84, 0.95) * painter.style.squat, rng.uniform(3.8, 4.7)
    waist, roof, paint = rng.uniform(0.82, 0.98), rng.uniform(1.38, 1.72), painter.pick(PAINTS, 10.0)
    painter.strip((x - half, x + half), (z - 0.25, z + long), DARK)
    body = (x - half, x + half, 0.25, waist, z, z + long)
    painter.block(body, paint, Raw.CAR)
    _draw_wheels(painter, body, 0.32, Raw.CAR)
    painter.plate((x - half, 0.25, x + half, waist), z, paint, Raw.CAR)
    start = z + (1.1 if oncoming else rng.choice([0.25, 0.7]))
    cabin = (x - half + 0.14, x + half - 0.14, waist, roof, start, z + long - 1.0)
    painter.block(cabin, paint, Raw.CAR)
    painter.plate((cabin[0] + 0.1, waist + 0.04, cabin[1] - 0.1, roof - 0.1), start, PANE)
    _draw_side_panes(painter, (cabin[0], cabin[1], waist + 0.04, roof - 0.1, start + 0.1, cabin[5] - 0.1), 2)
    _draw_lamps(painter, body, oncoming)


def draw_truck(painter: Painter, at: Place, oncoming: bool) -> None:
    """Draw a truck: a cab and a cargo box on a dark frame."""
    (x, z), rng = at, painter.rng
    half, long, top = rng.uniform(1.1, 1.25), rng.uniform(6.0, 9.0), rng.uniform(2.9, 3.7)
    cargo, paint = painter.pick(CARGO), painter.pick(PAINTS)
    left, right, end = x - half, x + half, z + long
    painter.strip((left, right), (z - 0.3, end), DARK)
    frame = (left, right, 0.4, 1.0, z, end)
    painter.block(frame, DARK, Raw.TRUCK)
    _draw_wheels(painter, frame, 0.48, Raw.TRUCK)
    if oncoming:
        split = z + 2.1
        painter.block((left, right, 1.0, top, split + 0.3, end), cargo, Raw.TRUCK)
        painter.block((left + 0.05, right - 0.05, 0.6, 2.6, z, split), paint, Raw.TRUCK)
        painter.plate((left + 0.2, 1.6, right - 0.2, 2.4), z, PANE)
    else:
        split = z + long - 2.1
        painter.block((left + 0.05, right - 0.05, 0.6, 2.6, split, end), paint, Raw.TRUCK)
        painter.block((left, right, 1.0, top, z, split - 0.3), cargo, Raw.TRUCK)
        painter.plate((x - 0.03, 1.0, x + 0.03, top), z, shade(cargo, 0.6))
    _draw_lamps(painter, (left, right, 0.5, 1.0, z, z), oncoming)


def draw_bus(painter: Painter, at: Place, oncoming: bool) -> None:
    """Draw a bus: one long box with a row of windows."""
    (x, z), rng = at, painter.rng
    half, long, top = 1.27, rng.uniform(9.0, 12.0), rng.uniform(2.9, 3.2)
    paint, left, right = painter.pick(LIVERIES), x - half, x + half
    painter.strip((left, right), (z - 0.3, z + long), DARK)
    body = (left, right, 0.35, top, z, z + long)
    painter.block(body, paint, Raw.BUS)
    _draw_wheels(painter, body, 0.48, Raw.BUS)
    painter.plate((left, 0.4, right, top), z, paint, Raw.BUS)
    _draw_side_panes(painter, (left, right, 1.35, 2.4, z + 0.3, z + long - 0.3), 7)
    painter.plate((left + 0.15, 1.3, right - 0.15, 2.45), z, PANE)
    painter.plate((x - 0.7, 2.55, x + 0.7, 2.8), z, (236, 170, 50))
    _draw_lamps(painter, (left, right, 0.4, 1.2, z, z), oncoming)


def _draw_side_panes(painter: Painter, box: Box, panes: int) -> None:
    _, _, y0, y1, z0, z1 = box
    for z, zz in pairwise(np.linspace(z0, z1, panes + 1).tolist()):
        painter.side(painter.near_side(box), (y0, y1), (z + 0.1, zz), PANE)


def _draw_wheels(painter: Painter, box: Box, radius: float, label: Raw) -> None:
    x0, x1, _, _, z0, z1 = box
    x = painter.near_side(box)
    for z in (z0 + 1.8 * radius, z1 - 2.2 * radius):
        turn = [(x, radius * (1 + np.sin(a)), z + radius * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 9)]
        painter.polygon(turn, DARK, label)
    for left in (x0 + 0.08, x1 - 0.3):
        painter.plate((left, 0.0, left + 0.22, radius * 1.3), z0 + 0.1, DARK, label)


def _draw_lamps(painter: Painter, box: Box, oncoming: bool) -> None:
    x0, x1, y0, y1, z0, _ = box
    colour: Colour = (244, 240, 220) if oncoming else (178, 24, 24)
    low = y0 + (y1 - y0) * 0.5
    for left in (x0 + 0.06, x1 - 0.36):
        painter.plate((left, low, left + 0.3, low + 0.16), z0, colour)
    middle = (x0 + x1) / 2
    painter.plate((middle - 0.26, y0 + 0.1, middle + 0.26, y0 + 0.22), z0, (216, 216, 206))
