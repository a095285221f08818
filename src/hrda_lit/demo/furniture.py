"""What stands on the sidewalk: lamp posts, signs, traffic lights, bins."""

import numpy as np

from hrda_lit.demo.canvas import Canvas, Colour, Raw
from hrda_lit.demo.style import pick, shade

STEEL: tuple[Colour, ...] = ((158, 168, 178), (174, 180, 184), (146, 160, 172))
SIGNS: tuple[tuple[Colour, Colour], ...] = (
    ((196, 36, 40), (236, 236, 232)),
    ((36, 84, 170), (232, 234, 238)),
    ((226, 190, 50), (40, 40, 40)),
    ((236, 236, 232), (196, 36, 40)),
)
LAMPS: tuple[Colour, ...] = ((240, 50, 40), (250, 190, 60), (60, 230, 120))


def draw_post(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], side: int) -> None:
    """Draw a street lamp: a thin post, often with an arm over the road.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        at: (x, z) in metres.
        side: -1 on the left of the road, 1 on the right.
    """
    x, z = at
    steel, tall, wide = pick(rng, STEEL, 5.0), rng.uniform(4.5, 9.0), rng.uniform(0.15, 0.25)
    canvas.bar(((x, 0.0, z), (x, tall, z)), wide, steel, Raw.POLE)
    if rng.random() < 0.6:
        tip = (x - side * rng.uniform(1.0, 2.2), tall + 0.3, z)
        canvas.bar(((x, tall, z), tip), wide * 0.7, steel, Raw.POLE)
        canvas.plate((tip[0] - 0.35, tip[1] - 0.08, tip[0] + 0.35, tip[1] + 0.08), z, shade(steel, 1.3), Raw.POLE)


def draw_sign(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float]) -> None:
    """Draw a traffic sign: round, triangular or square, on a thin post.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        at: (x, z) in metres.
    """
    x, z = at
    rim, face = SIGNS[int(rng.integers(len(SIGNS)))]
    y, r = rng.uniform(2.3, 3.1), rng.uniform(0.42, 0.6)
    canvas.bar(((x, 0.0, z), (x, y, z)), 0.13, pick(rng, STEEL, 5.0), Raw.POLE)
    kind = rng.integers(3)
    for colour, reach, label in ((rim, r, Raw.SIGN), (face, r * 0.62, None)):
        box = (x - reach, y - reach, x + reach, y + reach)
        if kind == 0:
            canvas.disc(box, z, colour, label)
        elif kind == 1:
            canvas.plate(box, z, colour, label)
        else:
            canvas.polygon(
                [(x - reach, y - reach * 0.8, z), (x + reach, y - reach * 0.8, z), (x, y + reach, z)],
                colour,
                label,
            )


def draw_light(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], side: int) -> None:
    """Draw a traffic light: a post, a dark box with a lamp, sometimes a second one on an arm over the road.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        at: (x, z) in metres.
        side: -1 on the left of the road, 1 on the right.
    """
    x, z = at
    steel, lit = pick(rng, STEEL, 5.0), int(rng.integers(3))
    places = [(x, 2.4)]
    if rng.random() < 0.4:
        places.append((x - side * 3.2, 4.8))
        canvas.bar(((x, 2.4, z), (x, 5.4, z)), 0.17, steel, Raw.POLE)
        canvas.bar(((x, 5.4, z), (x - side * 3.3, 5.6, z)), 0.14, steel, Raw.POLE)
    canvas.bar(((x, 0.0, z), (x, 2.6, z)), 0.17, steel, Raw.POLE)
    for left, low in places:
        canvas.plate((left - 0.27, low, left + 0.27, low + 1.25), z, (30, 32, 30), Raw.LIGHT)
        for lamp in range(3):
            colour = LAMPS[lamp] if lamp == lit else shade(LAMPS[lamp], 0.3)
            y = low + 1.05 - 0.42 * lamp
            canvas.disc((left - 0.18, y - 0.18, left + 0.18, y + 0.18), z, colour)


def draw_bin(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float]) -> None:
    """Draw a bin or a box: static, ignored by every evaluation.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        at: (x, z) in metres.
    """
    x, z = at
    wide, tall = rng.uniform(0.25, 0.5), rng.uniform(0.7, 1.3)
    canvas.plate((x - wide, 0.0, x + wide, tall), z, pick(rng, STEEL), Raw.STATIC)
