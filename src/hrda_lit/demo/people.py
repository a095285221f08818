"""Persons, bicycles and riders."""

import numpy as np

from hrda_lit.demo.canvas import Canvas, Colour, Raw
from hrda_lit.demo.street import strip
from hrda_lit.demo.style import pick, shade

CLOTHES: tuple[Colour, ...] = (
    (44, 50, 92),
    (176, 64, 50),
    (190, 52, 74),
    (52, 84, 156),
    (206, 150, 58),
    (150, 62, 120),
)
SKIN: tuple[Colour, ...] = ((214, 168, 140), (150, 108, 84), (96, 68, 54))
RUBBER: Colour = (24, 24, 27)


def _figure(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float, float], tall: float, label: Raw) -> None:
    x, foot, z = at
    top, legs = pick(rng, CLOTHES), pick(rng, CLOTHES[:4])
    wide, stride, head = tall * rng.uniform(0.11, 0.15), tall * rng.uniform(0.02, 0.13), tall * 0.07
    hip, neck = foot + tall * 0.48, foot + tall * 0.84
    for step in (-stride, stride):
        canvas.bar(((x + step, foot, z), (x + step * 0.3, hip, z)), tall * 0.085, legs, label)
    torso = [
        (x - wide, neck, z),
        (x + wide, neck, z),
        (x + wide * 0.8, hip - 0.1, z),
        (x - wide * 0.8, hip - 0.1, z),
    ]
    canvas.polygon(torso, top, label)
    for side in (-1, 1):
        hand = (x + side * (wide + stride * 0.6), hip - 0.02, z)
        canvas.bar(((x + side * wide, neck, z), hand), tall * 0.05, shade(top, 0.85), label)
    canvas.disc((x - head, neck, x + head, foot + tall), z, pick(rng, SKIN, 8.0), label)


def draw_person(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float]) -> None:
    """Draw a person who stands or walks.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        at: (x, z) in metres.
    """
    x, z = at
    strip(canvas, (x - 0.3, x + 0.3), (z - 0.1, z + 0.4), (58, 58, 60), None)
    _figure(canvas, rng, (x, 0.0, z), rng.uniform(1.55, 1.9), Raw.PERSON)


def draw_bicycle(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], ridden: bool) -> None:
    """Draw a bicycle, seen from anywhere between behind and beside, with or without its rider.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        at: (x, z) in metres.
        ridden: whether somebody sits on it.

    As in Cityscapes the wheels are filled in the label.
    """
    x, z = at
    turn = rng.uniform(0.2, 1.0)
    paint, r = pick(rng, ((30, 30, 34), (150, 40, 40), (50, 90, 140), (170, 172, 170))), 0.35
    for middle in (x - 0.52 * turn, x + 0.52 * turn):
        reach = max(r * turn, 0.05)
        canvas.disc((middle - reach, 0.0, middle + reach, 2 * r), z, RUBBER, Raw.BICYCLE)
        canvas.disc((middle - 0.8 * reach, 0.07, middle + 0.8 * reach, 2 * r - 0.07), z, (110, 110, 112))
    saddle, bars = (x - 0.2 * turn, 0.9, z), (x + 0.42 * turn, 1.02, z)
    frame = ((saddle, (x - 0.1 * turn, r, z)), (bars, (x + 0.52 * turn, r, z)), (saddle, (bars[0], 0.8, z)))
    for ends in (
        *frame,
        ((x - 0.52 * turn, r, z), (x - 0.1 * turn, r, z)),
        ((bars[0] - 0.2, 1.05, z), (bars[0] + 0.2, 1.05, z)),
    ):
        canvas.bar(ends, 0.05, paint, Raw.BICYCLE)
    if ridden:
        _figure(canvas, rng, (x - 0.05, 0.3, z), rng.uniform(1.45, 1.65), Raw.RIDER)
