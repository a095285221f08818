"""The settings of the training pipeline, checked before any file is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import gt
from pathlib import Path
from typing import Annotated, Literal

from hrda_lit.config.ranges import (
    AboveShare,
    BatchSize,
    Count,
    KeysOf,
    Length,
    Number,
    Ratio,
    Scale,
    Seed,
    Sides,
    Workers,
)
from hrda_lit.config.values import check_arguments
from hrda_lit.data.distortion import Distortion
from hrda_lit.data.folder import FolderDataset
from hrda_lit.data.rare_class import RareClass
from hrda_lit.data.transforms import Size
from hrda_lit.ops.resize import low_resolution_size


@check_arguments
@dataclass(frozen=True)
class Pipeline:
    """Set up how crops are made.

    Args:
        crop: (height, width) of the training crops in high-resolution pixels.
        downscale: divides every size at loading: s_T for a single-scale network at low resolution, 1 for the
            multi-resolution one, which needs the full resolution; >= 1.
        cat_max_ratio: a source crop is drawn again, up to `crop_tries` times, if one class fills at least
            this share of its labelled pixels; in (0, 1].
        crop_tries: how many source crops are judged before one is taken as it comes.
        margins_of: whether the target's margins are those of the whole "image" (HRDA) or of every "crop"
            (DAFormer; top and bottom only); None trusts every pixel.
        rare_class: rare class sampling of the source; None draws files uniformly.
        distortion: colours of source crops are changed; None leaves them.
        sync_crop: (height, width) in high-resolution pixels of the part of a crop that is trained on. Crops
            are drawn and judged by `crop`; then one rectangle is cut out of a source crop and of its target
            crop at the same place, because ClassMix needs layouts that match. None trains on all of `crop`.
        scale_jitter: (smallest, largest) factor of the sides of training images, drawn before the crop; None
            for none.

    Raises:
        ValueError: if a number is out of range or a size does not come out whole after `downscale`.
    """

    crop: Sides = (1024, 1024)
    downscale: Ratio = 1
    cat_max_ratio: AboveShare = 0.75
    crop_tries: Number = 10
    margins_of: Literal["image", "crop"] | None = "image"
    rare_class: Annotated[RareClass, KeysOf(RareClass)] | None = field(default_factory=RareClass)
    distortion: Annotated[Distortion, KeysOf(Distortion)] | None = None
    sync_crop: Sides | None = None
    scale_jitter: Annotated[Sequence[Scale], Length(2)] | None = None

    def __post_init__(self) -> None:
        if self.sync_crop is not None and any(map(gt, self.sync_crop, self.crop)):
            raise ValueError(
                f"data.sync_crop={list(self.sync_crop)}: expected a part of data.crop={list(self.crop)}; lower it."
            )
        if self.scale_jitter is not None and self.scale_jitter[0] > self.scale_jitter[1]:
            raise ValueError(
                f"data.scale_jitter={list(self.scale_jitter)}: expected [smallest, largest]; exchange them."
            )
        _ = self.crop_size, self.train_size

    @property
    def crop_size(self) -> Size:
        """Return (height, width) in pixels of the crops that are drawn, as loaded."""
        return low_resolution_size((self.crop[0], self.crop[1]), self.downscale)

    @property
    def train_size(self) -> Size:
        """Return (height, width) in pixels of the crops that the network is trained on, as loaded."""
        height, width = self.sync_crop or self.crop
        return low_resolution_size((height, width), self.downscale)

    def check(self, dataset: FolderDataset) -> None:
        """Refuse, by a ValueError, a dataset whose resize box is not a multiple of `downscale`."""
        if dataset.size is None:
            return
        try:
            low_resolution_size(dataset.size, self.downscale)
        except ValueError as error:
            raise ValueError(
                f"size {list(dataset.size)} of {dataset.name} is not whole when shrunk by {self.downscale:g}; "
                "choose multiples of it."
            ) from error


@check_arguments
@dataclass(frozen=True)
class Loading:
    """Set up how batches are loaded.

    Args:
        batch_size: source images and target images that go through the network at once, per process, >= 1.
        num_workers: loader processes per domain; 0 loads in the training process, "auto" follows the cores.
        seed: of all draws.
        cache_dir: folder for class statistics; `~` is the home.
        val_workers: loader processes for validation.
        accumulate: batches whose gradients are averaged before the optimiser steps once, >= 1.
        cache: folder where pictures are kept decoded, images fitted into their box, a byte a value; `~` is
            the home; None decodes them each time.
    """

    batch_size: BatchSize = 2
    num_workers: Workers | Literal["auto"] = "auto"
    seed: Seed = 0
    cache_dir: str = "~/.cache/hrda_lit"
    val_workers: Workers = 1
    accumulate: Count = 1
    cache: str | None = None

    @property
    def per_step(self) -> int:
        """Return how many source images and target images a process loads for one step of the optimiser."""
        return self.batch_size * self.accumulate

    @property
    def cache_folder(self) -> Path | None:
        """Return the folder of decoded pictures."""
        return None if self.cache is None else Path(self.cache).expanduser()
