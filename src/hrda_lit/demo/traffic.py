"""Cars, trucks and buses."""

from itertools import pairwise

import numpy as np

from hrda_lit.demo.canvas import Canvas, Colour, Raw
from hrda_lit.demo.street import strip
from hrda_lit.demo.style import Style, pick, shade

PAINTS: tuple[Colour, ...] = (
    *((30, 32, 36), (70, 74, 80), (150, 154, 160), (224, 226, 228)),
    *((150, 30, 32), (36, 62, 120), (40, 84, 60), (190, 160, 60)),
)
DARK: Colour = (24, 24, 27)
PANE: Colour = (52, 62, 72)

Box = tuple[float, float, float, float, float, float]  # x0, x1, y0, y1, z0, z1 in metres


def block(canvas: Canvas, box: Box, colour: Colour, label: Raw) -> None:
    """Draw a box: the side that the camera sees, the top if it lies below the camera, and the near end.

    Args:
        canvas: where to draw.
        box: x0, x1, y0, y1, z0, z1 in metres.
        colour: RGB in 0..255 of the near end; the others are lit differently.
        label: raw id.
    """
    x0, x1, y0, y1, z0, z1 = box
    for x, seen in ((x0, canvas.camera.lateral(x0, z0) > 0), (x1, canvas.camera.lateral(x1, z0) < 0)):
        if seen:
            canvas.polygon([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], shade(colour, 0.8), label)
    if y1 < canvas.camera.height:
        canvas.polygon([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], shade(colour, 1.15), label)
    canvas.plate((x0, y0, x1, y1), z0, colour, label)


def _side_panes(canvas: Canvas, box: Box, panes: int) -> None:
    x0, x1, y0, y1, z0, z1 = box
    x = x0 if canvas.camera.lateral(x0, z0) > 0 else x1
    edges = np.linspace(z0, z1, panes + 1).tolist()
    for z, zz in pairwise(edges):
        canvas.polygon([(x, y0, z + 0.1), (x, y1, z + 0.1), (x, y1, zz), (x, y0, zz)], PANE)


def _wheels(canvas: Canvas, box: Box, radius: float, label: Raw) -> None:
    x0, x1, _, _, z0, z1 = box
    x = x0 if canvas.camera.lateral(x0, z0) > 0 else x1
    for z in (z0 + 1.8 * radius, z1 - 2.2 * radius):
        turn = [(x, radius * (1 + np.sin(a)), z + radius * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 9)]
        canvas.polygon(turn, DARK, label)
    for left in (x0 + 0.08, x1 - 0.3):
        canvas.plate((left, 0.0, left + 0.22, radius * 1.3), z0 + 0.1, DARK, label)


def _lamps(canvas: Canvas, box: Box, oncoming: bool) -> None:
    x0, x1, y0, y1, z0, _ = box
    colour: Colour = (244, 240, 220) if oncoming else (178, 24, 24)
    low = y0 + (y1 - y0) * 0.5
    for left in (x0 + 0.06, x1 - 0.36):
        canvas.plate((left, low, left + 0.3, low + 0.16), z0, colour)
    middle = (x0 + x1) / 2
    canvas.plate((middle - 0.26, y0 + 0.1, middle + 0.26, y0 + 0.22), z0, (216, 216, 206))


def draw_car(canvas: Canvas, rng: np.random.Generator, style: Style, at: tuple[float, float], oncoming: bool) -> None:
    """Draw a car.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        at: (x of its middle, z of its near end) in metres.
        oncoming: whether it shows its front.
    """
    x, z = at
    half, long = rng.uniform(0.84, 0.95) * style.squat, rng.uniform(3.8, 4.7)
    waist, roof, paint = rng.uniform(0.82, 0.98), rng.uniform(1.38, 1.72), pick(rng, PAINTS, 10.0)
    strip(canvas, (x - half, x + half), (z - 0.25, z + long), DARK, None)
    body = (x - half, x + half, 0.25, waist, z, z + long)
    block(canvas, body, paint, Raw.CAR)
    _wheels(canvas, body, 0.32, Raw.CAR)
    canvas.plate((x - half, 0.25, x + half, waist), z, paint, Raw.CAR)
    start = z + (1.1 if oncoming else rng.choice([0.25, 0.7]))
    cabin = (x - half + 0.14, x + half - 0.14, waist, roof, start, z + long - 1.0)
    block(canvas, cabin, paint, Raw.CAR)
    canvas.plate((cabin[0] + 0.1, waist + 0.04, cabin[1] - 0.1, roof - 0.1), start, PANE)
    _side_panes(canvas, (cabin[0], cabin[1], waist + 0.04, roof - 0.1, start + 0.1, cabin[5] - 0.1), 2)
    _lamps(canvas, body, oncoming)


def draw_truck(canvas: Canvas, rng: np.random.Generator, style: Style, at: tuple[float, float], oncoming: bool) -> None:
    """Draw a truck: a cab and a cargo box on a dark frame.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        at: (x of its middle, z of its near end) in metres.
        oncoming: whether it shows its cab.
    """
    x, z = at
    half, long, top = rng.uniform(1.1, 1.25), rng.uniform(6.0, 9.0), rng.uniform(2.9, 3.7)
    cargo, paint = (
        pick(rng, ((214, 214, 210), (180, 176, 164), (70, 92, 130), (150, 60, 50))),
        pick(rng, PAINTS),
    )
    strip(canvas, (x - half, x + half), (z - 0.3, z + long), DARK, None)
    frame = (x - half, x + half, 0.4, 1.0, z, z + long)
    block(canvas, frame, DARK, Raw.TRUCK)
    _wheels(canvas, frame, 0.48, Raw.TRUCK)
    split = z + 2.1 if oncoming else z + long - 2.1
    box = (
        x - half,
        x + half,
        1.0,
        top,
        split + 0.3 if oncoming else z,
        z + long if oncoming else split - 0.3,
    )
    cab = (
        x - half + 0.05,
        x + half - 0.05,
        0.6,
        2.6,
        z if oncoming else split,
        split if oncoming else z + long,
    )
    for part, colour in ((box, cargo), (cab, paint)) if oncoming else ((cab, paint), (box, cargo)):
        block(canvas, part, colour, Raw.TRUCK)
    if oncoming:
        canvas.plate((x - half + 0.2, 1.6, x + half - 0.2, 2.4), z, PANE)
    else:
        canvas.plate((x - 0.03, 1.0, x + 0.03, top), z, shade(cargo, 0.6))
    _lamps(canvas, (x - half, x + half, 0.5, 1.0, z, z), oncoming)


def draw_bus(canvas: Canvas, rng: np.random.Generator, style: Style, at: tuple[float, float], oncoming: bool) -> None:
    """Draw a bus: one long box with a row of windows.

    Args:
        canvas: where to draw.
        rng: where the draws come from.
        style: the domain.
        at: (x of its middle, z of its near end) in metres.
        oncoming: whether it shows its front.
    """
    x, z = at
    half, long, top = 1.27, rng.uniform(9.0, 12.0), rng.uniform(2.9, 3.2)
    paint = pick(rng, ((196, 60, 44), (222, 190, 70), (70, 120, 160), (206, 206, 200)))
    strip(canvas, (x - half, x + half), (z - 0.3, z + long), DARK, None)
    body = (x - half, x + half, 0.35, top, z, z + long)
    block(canvas, body, paint, Raw.BUS)
    _wheels(canvas, body, 0.48, Raw.BUS)
    canvas.plate((x - half, 0.4, x + half, top), z, paint, Raw.BUS)
    _side_panes(canvas, (x - half, x + half, 1.35, 2.4, z + 0.3, z + long - 0.3), 7)
    canvas.plate((x - half + 0.15, 1.3, x + half - 0.15, 2.45), z, PANE)
    canvas.plate((x - 0.7, 2.55, x + 0.7, 2.8), z, (236, 170, 50))
    _lamps(canvas, (x - half, x + half, 0.4, 1.2, z, z), oncoming)
