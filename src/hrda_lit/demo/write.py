"""Render the demo's domains as pictures, in the folders and encodings of GTA, UrbanSyn and Cityscapes."""

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from hrda_lit.config.ranges import Count, Number, Seed
from hrda_lit.data.classes import CITYSCAPES, id_table
from hrda_lit.demo.painter import SCALE, Camera, Painter, Raw
from hrda_lit.demo.scene import draw_scene, rare_things
from hrda_lit.demo.style import SECOND_SOURCE, SOURCE, TARGET, Style
from hrda_lit.ops.rng import fold
from hrda_lit.system.files import SCRATCH, read_record, remove_stale, scratch_prefix
from hrda_lit.system.progress import track

VERSION = 1  # raise it whenever the same seed gives other pictures
CITIES = {"train": "demoville", "val": "demostadt"}
STYLES: dict[str, Style] = {"source": SOURCE, "second_source": SECOND_SOURCE, "train": TARGET, "val": TARGET}
TRAIN_IDS = id_table("cityscapes", CITYSCAPES).numpy()
# strength of the surface texture as a share of the brightness; 0.04 for all others
TEXTURE = {
    Raw.SKY: 0.0, Raw.VEGETATION: 0.24, Raw.BUILDING: 0.08, Raw.WALL: 0.08, Raw.FENCE: 0.1, Raw.EGO: 0.01,
}  # fmt: skip
GROUND = (Raw.ROAD, Raw.SIDEWALK, Raw.TERRAIN)
TILE = 256  # side of a periodic noise tile


def render_demo(
    root: str | Path,
    seed: Seed = 0,
    source: Count = 200,
    target: Count = 200,
    val: Count = 40,
    second_source: Number = 0,
) -> None:
    """Render a game-like source and a camera-like target with labels, and optionally a second source.

    A finished folder with the same parameters is kept. A scene depends on the seed and its index only,
    not on the number of scenes. The folder appears once it is complete.

    Args:
        root: folder to make, with `gta/`, `cityscapes/`, `urbansyn/` for a second source, and `demo.json`.
        seed: seed of all scenes.
        source: number of source scenes, at least 1.
        target: number of training scenes of the target, at least 1.
        val: number of validation scenes of the target, at least 1.
        second_source: number of scenes of another renderer, with other materials and cameras; 0 for none.

    Raises:
        ValueError: if a number is below 1.
        FileExistsError: if the folder holds something else.
        OSError: if a file cannot be written; then none is left.
    """
    root = Path(root).absolute()
    if min(source, target, val) < 1:
        raise ValueError(f"render_demo got {source=}, {target=}, {val=}; give each at least 1.")
    counts = {"source": source, "train": target, "val": val, "second_source": second_source}
    counts = {split: count for split, count in counts.items() if count}
    record = {"version": VERSION, "seed": seed, **counts}
    if not _is_finished(root, record):
        _render_folder(root, seed, counts, record)


def _render_folder(root: Path, seed: int, counts: dict[str, int], record: dict[str, int]) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(root.parent.glob(SCRATCH))
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(), suffix=".part", dir=root.parent) as scratch:
        fresh = Path(scratch, "demo")
        try:
            _render_all(fresh, seed, counts)
            (fresh / "demo.json").write_text(json.dumps(record, indent=2) + "\n")
        except OSError as error:  # pillow does not say which file it was
            raise OSError(f"no demo can be drawn at {root} ({error.strerror or error}); free space there.") from error
        try:
            os.rename(fresh, root)
        except OSError:  # another process was faster; its pictures are the same if its parameters are
            if not _is_finished(root, record):
                raise


def _is_finished(root: Path, record: dict[str, int]) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    path = root / "demo.json"
    found = read_record(path) if path.is_file() else None
    if found != record:
        raise FileExistsError(
            f"{root} holds {found or 'other files'}, not {record}; delete it or choose another folder."
        )
    return True


def _render_all(root: Path, seed: int, counts: dict[str, int]) -> None:
    jobs = [(split, index) for split, count in counts.items() for index in range(count)]
    for split in counts:
        for path in _paths(root, split, 0):
            path.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = pool.map(lambda job: _render_one(root, seed, *job), jobs)
        for _ in track(done, "rendering the demo domains", len(jobs)):
            pass


def _paths(root: Path, split: str, index: int) -> tuple[Path, Path]:
    if split == "source":
        name = f"{index + 1:05d}.png"
        return root / "gta" / "images" / name, root / "gta" / "labels" / name
    if split == "second_source":
        base, number = root / "urbansyn", f"{index + 1:04d}"
        return base / "rgb" / f"rgb_{number}.png", base / "ss" / f"ss_{number}.png"
    city = CITIES[split]
    stem = f"{city}_{index:06d}_000019"
    base = root / "cityscapes"
    image = base / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
    return image, base / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"


def _render_one(root: Path, seed: int, split: str, index: int) -> None:
    rng = np.random.default_rng(fold(seed, "demo", split, index))
    image, label = expose(draw_scene(rng, STYLES[split], rare_things(seed, split, index)))
    image_path, label_path = _paths(root, split, index)
    Image.fromarray(image).save(image_path, compress_level=2)
    _encode(label, split).save(label_path)


def _encode(label: UInt8[np.ndarray, "H W"], split: str) -> Image.Image:
    if split == "second_source":
        return Image.fromarray(TRAIN_IDS[label])
    picture = Image.fromarray(label)
    if split == "source":
        colours = np.zeros((256, 3), np.uint8)
        colours[: len(CITYSCAPES)] = CITYSCAPES.colours
        picture.putpalette(colours[TRAIN_IDS].tobytes())
    return picture


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
