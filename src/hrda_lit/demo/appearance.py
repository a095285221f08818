"""From a drawn scene to a picture: surface textures, air, lens and sensor."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from hrda_lit.demo.painter import SCALE, Camera, Painter, Raw

# strength of the surface texture as a share of the brightness; 0.04 for all others
TEXTURE = {Raw.SKY: 0.0, Raw.VEGETATION: 0.24, Raw.BUILDING: 0.08, Raw.WALL: 0.08, Raw.FENCE: 0.1, Raw.EGO: 0.01}
GROUND = (Raw.ROAD, Raw.SIDEWALK, Raw.TERRAIN)
TILE = 256  # side of a periodic noise tile


def expose(painter: Painter) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
    """Turn a drawn scene into an image and its label of raw ids."""
    label = np.asarray(painter.label)[1::SCALE, 1::SCALE].copy()
    drawn = np.asarray(painter.colour.reduce(SCALE), np.float32)
    ground = _ground_depth(painter.camera, label.shape)
    depth = np.where(np.isin(label, GROUND), ground, np.asarray(painter.depth)[1::SCALE, 1::SCALE])
    image = drawn * (1 + painter.sample(painter.style.texture) * _texture(painter, label))[..., None]
    return _sense(painter, _add_haze(painter, image, depth)), label


def _noise(rng: np.random.Generator) -> Float[np.ndarray, "256 256"]:
    total = np.zeros((TILE, TILE))
    for cells, weight in ((16, 0.5), (64, 0.7), (256, 1.0)):
        field = Image.fromarray(rng.random((cells, cells), np.float32) - 0.5)
        total += weight * np.asarray(field.resize((TILE, TILE), Image.Resampling.BILINEAR))
    return total.astype(np.float32)


def _ground_depth(camera: Camera, shape: tuple[int, ...]) -> Float[np.ndarray, "H W"]:
    rows = (np.arange(shape[0], dtype=np.float32) + 0.5) * SCALE - camera.horizon
    return np.broadcast_to((camera.focal * camera.height / np.maximum(rows, 2.0))[:, None], shape)


def _texture(painter: Painter, label: UInt8[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    tile, camera = _noise(painter.rng), painter.camera
    high, wide = label.shape
    flat = np.tile(tile, (-(-high // TILE), -(-wide // TILE)))[:high, :wide]
    strength = np.full(256, 0.04, np.float32)
    for raw, value in TEXTURE.items():
        strength[raw] = value
    z = _ground_depth(camera, label.shape)
    x = ((np.arange(wide, dtype=np.float32) + 0.5) * SCALE - camera.centre) * z / camera.focal
    ground = tile[(z * 9).astype(np.int32) % TILE, (x * 18).astype(np.int32) % TILE] * (0.10 / (1 + z / 25))
    return np.asarray(np.where(np.isin(label, GROUND), ground, flat * strength[label]))


def _add_haze(
    painter: Painter, image: Float[np.ndarray, "H W 3"], depth: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 3"]:
    # Koschmieder's law.
    kept = np.exp(-painter.sample(painter.style.haze) * np.minimum(depth, 250.0)).astype(np.float32)
    kept[depth > 500] = 1.0  # the colours of the sky have the air in them
    air = np.float32(painter.rng.uniform(190, 226)) * np.asarray((0.97, 1.0, 1.03), np.float32)
    return np.asarray(image * kept[..., None] + air * (1 - kept[..., None]))


def _sense(painter: Painter, image: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    rng, style, grey = painter.rng, painter.style, image.mean(-1, keepdims=True)
    warm = painter.sample(style.cast) * rng.choice((-1.0, 1.0))
    gains = np.asarray((1 + warm, 1.0, 1 - warm), np.float32) * np.float32(rng.uniform(0.85, 1.12))
    image = (grey + (image - grey) * np.float32(painter.sample(style.saturation))) * gains
    image = (image - 118) * np.float32(painter.sample(style.contrast)) + 118
    sharp = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    soft = sharp.filter(ImageFilter.GaussianBlur(painter.sample(style.blur)))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(painter.sample(style.noise))
    return np.asarray(np.clip(np.asarray(soft) + noise, 0, 255), np.uint8)
