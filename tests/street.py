"""The two folders that the tutorial begins with, small."""

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ["road", "sidewalk", "building", "fence", "pole", "sign", "vegetation", "sky", "person", "vehicle"]


def draw_street(folder: Path, day: int = 6, dusk: int = 44, labelled: int = 21) -> None:
    """Draw `day`, all labelled, and `dusk`, a part of which is.

    Args:
        folder: where to.
        day: images of day.
        dusk: images of dusk.
        labelled: how many of dusk have labels.
    """
    for seed, (name, count, known) in enumerate((("day", day, day), ("dusk", dusk, labelled))):
        rng = np.random.default_rng(seed)
        for kind in ("images", "labels"):
            (folder / name / kind).mkdir(parents=True)
        for number in range(count):
            label = rng.integers(0, 10, (12, 16), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
            Image.fromarray(label[..., None] * np.uint8([25, 20, 10])).save(folder / name / "images" / f"{number}.jpg")
            if number < known:
                Image.fromarray(label).save(folder / name / "labels" / f"{number}.png")
    (folder / "day" / "classes.txt").write_text("\n".join(NAMES))
