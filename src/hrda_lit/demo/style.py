"""The demo's domains: their cameras, materials, air and sensors."""

from dataclasses import dataclass, replace

Colour = tuple[int, int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Describe a domain; each range is sampled once per scene.

    The gap is chosen so that a small network keeps most large classes across it.
    """

    focal: Range  # focal length over image width
    height: Range  # of the camera in metres
    horizon: Range  # row over image height
    bonnet: bool  # whether the camera's own car is seen at the bottom
    facades: tuple[Colour, ...]  # of buildings and walls
    foliage: tuple[Colour, ...]
    grounds: tuple[Colour, ...]  # that road, sidewalk and terrain vary around
    skies: tuple[tuple[Colour, Colour], ...]  # (zenith, horizon)
    haze: Range  # share of light lost per metre
    texture: Range  # strength of surface textures, 1 is that of the source
    saturation: Range  # 0 is grey, 1 leaves the colours as they are
    contrast: Range  # 1 leaves the image as it is
    cast: Range  # strength of the random gains of red and blue
    noise: Range  # standard deviation of the sensor noise in grey levels
    blur: Range  # radius of the lens blur in pixels
    squat: float  # factor on the widths of cars and crowns


def rgb(*values: float) -> Colour:
    """Round and clip three numbers to a colour."""
    red, green, blue = (min(255, max(0, round(value))) for value in values)
    return red, green, blue


def colours(text: str) -> tuple[Colour, ...]:
    """Parse colours as in "b06e54 cdb282", two hexadecimal digits for each of red, green and blue."""
    return tuple(rgb(*bytes.fromhex(code)) for code in text.split())


def colour_pairs(first: str, second: str) -> tuple[tuple[Colour, Colour], ...]:
    """Parse two lists of colours, see `colours`, and pair them."""
    return tuple(zip(colours(first), colours(second), strict=True))


SOURCE = Style(
    focal=(0.85, 1.02),
    height=(1.4, 2.0),
    horizon=(0.42, 0.54),
    bonnet=False,
    facades=colours("b06e54 cdb282 969ca6 c4966e 806860 d6cebe 968e84 bab0a0"),
    foliage=colours("366826 487830 305830"),
    grounds=colours("706e70 807a74 626268"),
    skies=colour_pairs("3a78d6 4a8adc 6080be 96accc bac6d4", "b0d0f0 cedeec f0cca0 dee2e6 e2e4e6"),
    haze=(0.0012, 0.004),
    texture=(0.8, 1.2),
    saturation=(0.95, 1.3),
    contrast=(0.98, 1.2),
    cast=(0.0, 0.05),
    noise=(0.5, 3.0),
    blur=(0.0, 0.4),
    squat=1.0,
)

# Another renderer: path tracing instead of textures, so cleaner and softer, seen through a car's own camera.
SECOND_SOURCE = replace(
    SOURCE,
    focal=(0.95, 1.1),
    height=(1.2, 1.6),
    horizon=(0.4, 0.5),
    facades=colours("c6c0b8 aaa6a4 ded6c6 988c86 baa896 868a92 9e6858 cec8d0"),
    foliage=colours("42702c 56763c 3a542a"),
    grounds=colours("787878 68686a 888480"),
    skies=colour_pairs("588cd4 a0bada c8ced6 7886b0", "d6e2ee e6eaee eaecec eed4b2"),
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
    facades=colours("bcb4a8 9e968e cec4ac 8c8078 b09c8c 787a7e a87662 c0a07c"),
    foliage=colours("3e5c2e 506a38 364e30"),
    grounds=colours("6a6a6c 7a7876 5e5f63"),
    skies=colour_pairs("ced4da b2c2d6 8caed6 6896d6", "eceeee e2e8ec dae4ec d2deea"),
    haze=(0.002, 0.0055),
    texture=(1.0, 1.6),
    saturation=(0.72, 0.95),
    contrast=(0.84, 1.0),
    cast=(0.02, 0.07),
    noise=(2.5, 5.0),
    blur=(0.3, 0.65),
    squat=1.08,
)


def shade(colour: Colour, factor: float) -> Colour:
    """Darken a colour by a factor below 1, or lighten it by one above 1."""
    return rgb(*(value * factor for value in colour))


def tint(colour: Colour, change: tuple[float, float, float]) -> Colour:
    """Add grey levels to red, green and blue."""
    return rgb(*(value + extra for value, extra in zip(colour, change, strict=True)))
