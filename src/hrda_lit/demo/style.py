"""What tells the domains apart: cameras, materials, air and sensors."""

from dataclasses import dataclass, replace

import numpy as np

from hrda_lit.demo.canvas import HEIGHT, SCALE, WIDTH, Camera, Colour

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Describe a domain; each range is drawn from once per scene.

    Args:
        focal: focal length over image width.
        height: of the camera in metres.
        horizon: row of the horizon over image height.
        bonnet: whether the bonnet of the camera's own car is seen at the bottom.
        facades: colours of buildings and walls.
        foliage: colours of trees.
        grounds: colours that road, sidewalk and terrain vary around.
        skies: (zenith, horizon) colours.
        haze: share of light lost per metre.
        texture: strength of surface textures, 1 is that of the source.
        saturation: 0 is grey, 1 leaves the colours as they are.
        contrast: 1 leaves the image as it is.
        cast: strength of the random gains of red and blue.
        noise: standard deviation of the sensor noise in grey levels.
        blur: radius of the lens blur in pixels.
        squat: factor on the widths of cars and crowns.

    The gap is chosen so that a small network keeps most large classes across it.
    """

    focal: Range
    height: Range
    horizon: Range
    bonnet: bool
    facades: tuple[Colour, ...]
    foliage: tuple[Colour, ...]
    grounds: tuple[Colour, ...]
    skies: tuple[tuple[Colour, Colour], ...]
    haze: Range
    texture: Range
    saturation: Range
    contrast: Range
    cast: Range
    noise: Range
    blur: Range
    squat: float


SOURCE = Style(
    focal=(0.85, 1.02),
    height=(1.4, 2.0),
    horizon=(0.42, 0.54),
    bonnet=False,
    facades=(
        *((176, 110, 84), (205, 178, 130), (150, 156, 166), (196, 150, 110), (128, 104, 96), (214, 206, 190)),
        *((150, 142, 132), (186, 176, 160)),
    ),
    foliage=((54, 104, 38), (72, 120, 48), (48, 88, 48)),
    grounds=((112, 110, 112), (128, 122, 116), (98, 98, 104)),
    skies=(
        *(
            ((58, 120, 214), (176, 208, 240)),
            ((74, 138, 220), (206, 222, 236)),
            ((96, 128, 190), (240, 204, 160)),
        ),
        *(((150, 172, 204), (222, 226, 230)), ((186, 198, 212), (226, 228, 230))),
    ),
    haze=(0.0012, 0.004),
    texture=(0.8, 1.2),
    saturation=(0.95, 1.3),
    contrast=(0.98, 1.2),
    cast=(0.0, 0.05),
    noise=(0.5, 3.0),
    blur=(0.0, 0.4),
    squat=1.0,
)

# Another renderer: paths of light in place of textures, so cleaner and softer, seen through a car's own camera.
SECOND_SOURCE = replace(
    SOURCE,
    focal=(0.95, 1.1),
    height=(1.2, 1.6),
    horizon=(0.4, 0.5),
    facades=(
        *((198, 192, 184), (170, 166, 164), (222, 214, 198), (152, 140, 134), (186, 168, 150), (134, 138, 146)),
        *((158, 104, 88), (206, 200, 208)),
    ),
    foliage=((66, 112, 44), (86, 118, 60), (58, 84, 42)),
    grounds=((120, 120, 120), (104, 104, 106), (136, 132, 128)),
    skies=(
        *(((88, 140, 212), (214, 226, 238)), ((160, 186, 218), (230, 234, 238)), ((200, 206, 214), (234, 236, 236))),
        *(((120, 134, 176), (238, 212, 178)),),
    ),
    haze=(0.001, 0.003),
    texture=(0.4, 0.8),
    saturation=(0.8, 1.1),
    contrast=(0.9, 1.1),
    noise=(0.0, 1.0),
    blur=(0.1, 0.4),
    squat=1.04,
)

TARGET = Style(
    focal=(1.0, 1.16),
    height=(1.15, 1.4),
    horizon=(0.39, 0.46),
    bonnet=True,
    facades=(
        *(
            (188, 180, 168),
            (158, 150, 142),
            (206, 196, 172),
            (140, 128, 120),
            (176, 156, 140),
            (120, 122, 126),
        ),
        *((168, 118, 98), (192, 160, 124)),
    ),
    foliage=((62, 92, 46), (80, 106, 56), (54, 78, 48)),
    grounds=((106, 106, 108), (122, 120, 118), (94, 95, 99)),
    skies=(
        *(
            ((206, 212, 218), (236, 238, 238)),
            ((178, 194, 214), (226, 232, 236)),
            ((140, 174, 214), (218, 228, 236)),
        ),
        *(((104, 150, 214), (210, 222, 234)),),
    ),
    haze=(0.002, 0.0055),
    texture=(1.0, 1.6),
    saturation=(0.72, 0.95),
    contrast=(0.84, 1.0),
    cast=(0.02, 0.07),
    noise=(2.5, 5.0),
    blur=(0.3, 0.65),
    squat=1.08,
)


def draw(rng: np.random.Generator, limits: Range) -> float:
    """Draw a number from a range.

    Args:
        rng: where the draw comes from.
        limits: lowest and highest value.

    Returns:
        The number.
    """
    return float(rng.uniform(*limits))


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 9.0) -> Colour:
    """Pick one of some colours and vary it a little.

    Args:
        rng: where the draws come from.
        colours: RGB in 0..255.
        spread: standard deviation in grey levels; its larger part moves all channels together.

    Returns:
        RGB in 0..255.
    """
    chosen = colours[int(rng.integers(len(colours)))]
    common, own = rng.normal(0.0, spread), rng.normal(0.0, spread / 3, 3).tolist()
    return rgb(*(value + common + extra for value, extra in zip(chosen, own, strict=True)))


def rgb(red: float, green: float, blue: float) -> Colour:
    """Round and clip three numbers to a colour.

    Args:
        red: any number; so are the others.
        green: see red.
        blue: see red.

    Returns:
        RGB in 0..255.
    """
    return _byte(red), _byte(green), _byte(blue)


def _byte(value: float) -> int:
    return min(255, max(0, round(value)))


def shade(colour: Colour, factor: float) -> Colour:
    """Make a colour lighter or darker.

    Args:
        colour: RGB in 0..255.
        factor: below 1 darkens, above 1 lightens.

    Returns:
        RGB in 0..255.
    """
    red, green, blue = colour
    return rgb(red * factor, green * factor, blue * factor)


def tint(colour: Colour, change: tuple[float, float, float]) -> Colour:
    """Add something to the channels of a colour.

    Args:
        colour: RGB in 0..255.
        change: what is added to red, green and blue, in grey levels.

    Returns:
        RGB in 0..255.
    """
    return rgb(*(value + extra for value, extra in zip(colour, change, strict=True)))


def place_camera(rng: np.random.Generator, style: Style, lane: float) -> Camera:
    """Choose where a scene is seen from.

    Args:
        rng: where the draws come from.
        style: the domain.
        lane: middle of the camera's lane, metres from the middle of the road.

    Returns:
        The camera.

    Heights, fields of view and pitches are like those of GTA and Cityscapes.
    """
    return Camera(
        focal=draw(rng, style.focal) * WIDTH * SCALE,
        height=draw(rng, style.height),
        horizon=draw(rng, style.horizon) * HEIGHT * SCALE,
        centre=(0.5 + rng.normal(0.0, 0.04)) * WIDTH * SCALE,
        offset=lane + rng.normal(0.0, 0.4),
        curve=rng.normal(0.0, 0.0011),
    )
