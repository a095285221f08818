"""The loader, on PNG files of the size of real ones that are made up for it."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from hrda_lit.scripts.benchmarks.measure import Row, Tell
from omegaconf import DictConfig, open_dict
from PIL import Image
from torch.nn import functional as F

from hrda_lit.build import build_datamodule
from hrda_lit.ops.rng import generator
from hrda_lit.system.process import at_full_speed

FILES = 4
PLACES = {  # of GTA5 and of Cityscapes, as their archives unpack
    "source": ("gta/images/{:05d}.png", "gta/labels/{:05d}.png"),
    "target": ("cityscapes/leftImg8bit/train/made/made_000000_{:06d}_leftImg8bit.png", None),
}


def write_files(root: Path, source: tuple[int, int], target: tuple[int, int]) -> None:
    """Write images that compress about as photographs do, and labels in patches with raw ids of Cityscapes."""
    drawn = generator("benchmark", "files")
    for domain, size in (("source", source), ("target", target)):
        image_path, label_path = PLACES[domain]
        for index in range(FILES):
            coarse = torch.rand(1, 3, max(2, size[0] // 24), max(2, size[1] // 24), generator=drawn)
            smooth = F.interpolate(coarse, size=size, mode="bilinear") * 200
            grain = torch.randint(0, 6, smooth.shape, generator=drawn)
            _save(root / image_path.format(index), (smooth + grain).to(torch.uint8)[0].permute(1, 2, 0).numpy())
            if label_path is not None:
                cells = torch.randint(7, 34, (1, 1, max(1, size[0] // 64), max(1, size[1] // 64)), generator=drawn)
                label = F.interpolate(cells.float(), size=size, mode="nearest")
                _save(root / label_path.format(index), label.to(torch.uint8)[0, 0].numpy())


def measure(
    config: DictConfig, workers: Sequence[int], batches: int, source: tuple[int, int], tell: Tell
) -> Iterator[Row]:
    """Measure how many crops the loaders of a config give.

    Args:
        config: composed tree of an experiment with the data of GTA5 and Cityscapes.
        workers: processes per domain, one row each; 0 loads in this one.
        batches: batches per row, >= 2; the first of them starts the processes and is not counted.
        source: (height, width) of the source's files; the target's are 1024 / 1052 as high, 2048 / 1914 as wide.
        tell: called with progress in words.
    """
    target = (max(1, round(source[0] * 1024 / 1052)), max(1, round(source[1] * 2048 / 1914)))
    with tempfile.TemporaryDirectory() as folder:
        tell("writing files")
        write_files(Path(folder), source, target)
        for count in workers:
            with at_full_speed(torch.device("cpu")):
                row = _loaded(config, Path(folder), count, batches, tell)
            yield row


def _loaded(config: DictConfig, root: Path, workers: int, batches: int, tell: Tell) -> Row:
    batch = config.loading.batch_size
    name = f"{workers} workers a domain" if workers else "in the training process"
    row = Row(name, {"workers": workers, "crop": config.data.crop[0], "batch": batch}, samples=2 * batch)
    with open_dict(config):
        config.data_root, config.cache_dir, config.val = str(root), str(root / "cache"), None
        config.loading.num_workers = workers
    data = build_datamodule(config, needs_target=True)
    if workers == 0:
        row.parts["read a source file, image and label"] = _reading(data)
    data.trainer = L.Trainer(max_steps=batches, logger=False, enable_checkpointing=False, accelerator="cpu")
    data.setup("fit")
    loaders = {domain: iter(loader) for domain, loader in data.train_dataloader().items()}
    start = time.perf_counter()
    for index in range(batches):
        tell(f"{name}: batch {index + 1} of {batches}")
        for domain, loader in loaders.items():
            began = time.perf_counter()
            next(loader)
            if workers == 0 and index:
                row.parts.setdefault(f"a {domain} crop", []).append((time.perf_counter() - began) / batch)
        if index:
            row.seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return row


def _reading(data: Any) -> list[float]:
    seconds = []
    for sample in data.source.files("train", labelled=True):
        start = time.perf_counter()
        data.source.read(sample)
        seconds.append(time.perf_counter() - start)
    return seconds


def _save(path: Path, pixels: "np.ndarray[Any, Any]") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
