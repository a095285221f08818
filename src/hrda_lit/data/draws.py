"""Training crops and validation images; a crop is a function of (seed, domain, draw index) alone.

They are bytes, a quarter of the numbers that a network takes, which `ready` makes of them where they are used.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from hrda_lit.data.crops import is_varied, random_crop, retry
from hrda_lit.data.folder import FolderDataset, Sample
from hrda_lit.data.margins import target_mask
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.data.rare_class import RareClassSampler
from hrda_lit.data.reading import Reading
from hrda_lit.data.transforms import Size, finish, fitted_size, resize_label
from hrda_lit.ops import rng
from hrda_lit.ops.boxes import Box, crop
from hrda_lit.ops.normalise import normalise

UNCOUNTED = -1  # a validation image that a process without any gets
FLIP_PROBABILITY = 0.5  # HRDA and DAFormer, official code


class SourceDraws(Dataset[dict[str, Tensor]]):
    """Draw labelled crops of the source.

    Args:
        dataset: reads the files.
        samples: labelled, from `dataset.files`.
        pipeline: how crops are made.
        seed: of the run.
        rare: rare class sampling; None draws files uniformly.
        cache: folder where decoded pictures are kept; None for none.

    DAFormer section 3.3; HRDA section 4.1.
    """

    def __init__(
        self,
        dataset: FolderDataset,
        samples: list[Sample],
        pipeline: Pipeline,
        seed: int,
        rare: RareClassSampler | None = None,
        cache: Path | None = None,
    ) -> None:
        self.dataset, self.samples, self.pipeline, self.seed, self.rare = dataset, samples, pipeline, seed, rare
        self.read = Reading(dataset, pipeline.shrink, cache)

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        """Return a draw.

        Returns:
            "image" (uint8, 3 x h x w), "label" (uint8, h x w), "extent", the height and width of both that are no
            padding, and "file", the index of the image.
        """
        generator = rng.generator(self.seed, "source", draw)
        wanted, file = self._pick(generator)
        image, label = self.read(self.samples[file])
        assert label is not None, "source samples are labelled"
        pipeline, ignore = self.pipeline, self.dataset.classes.ignore
        size = (image.shape[1], image.shape[2])
        label_size = fitted_size((label.shape[0], label.shape[1]), self.dataset.size, pipeline.shrink)
        # Two sizes where layout.sizes is "differ": the box is the image's, and what the label lacks of it is ignored.
        # A box is judged, and at once kept: the last one judged is the one that is taken.
        part = lru_cache(maxsize=1)(partial(resize_label, label, label_size))
        # official: each retry of rare class sampling decodes and resizes the files again; here: once, because
        # only the box and the flip differ.
        box = self._box(part, size, wanted, generator)
        flip = _flip(generator)
        return {
            "image": finish(crop(image, box), pipeline.crop_size, flip, fill=0),
            "label": finish(part(box), pipeline.crop_size, flip, fill=ignore),
            "extent": torch.tensor(box.size),
            "file": torch.tensor(file),
        }

    def _pick(self, generator: torch.Generator) -> tuple[int | None, int]:
        if self.rare is not None:
            return self.rare.pick(generator)
        # official: without rare class sampling, shuffled pairs of source and target files; here: independent
        # uniform draws, so that a draw needs no list of all pairs.
        return None, int(torch.randint(len(self.samples), (), generator=generator))

    def _box(
        self, part: Callable[[Box], UInt8[Tensor, "h w"]], size: Size, wanted: int | None, generator: torch.Generator
    ) -> Box:
        pipeline, ignore = self.pipeline, self.dataset.classes.ignore
        varied = partial(
            retry,
            lambda: random_crop(size, pipeline.crop_size, generator),
            lambda box: is_varied(part(box), ignore, pipeline.cat_max_ratio),
            pipeline.crop_tries,
        )
        options = pipeline.rare_class
        if wanted is None or options is None:
            return varied()
        enough = options.accept_pixels(pipeline.shrink)
        return retry(
            varied, lambda box: bool(np.count_nonzero(part(box).numpy() == wanted) > enough), options.max_tries
        )


class TargetDraws(Dataset[dict[str, Tensor]]):
    """Draw crops of the target, files uniformly with replacement; no label is needed.

    Args:
        dataset: reads the files.
        samples: from `dataset.files`.
        pipeline: how crops are made.
        seed: of the run.
        cache: folder where decoded pictures are kept; None for none.

    HRDA section 4.1.
    """

    def __init__(
        self,
        dataset: FolderDataset,
        samples: list[Sample],
        pipeline: Pipeline,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        self.dataset, self.samples, self.pipeline, self.seed = dataset, samples, pipeline, seed
        self.read = Reading(dataset, pipeline.shrink, cache)

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        """Return "image", "extent" and "file" as `SourceDraws` does, and "valid" (uint8, h x w, 0 or 1) of a draw."""
        generator = rng.generator(self.seed, "target", draw)
        file = int(torch.randint(len(self.samples), (), generator=generator))
        image, _ = self.read(Sample(self.samples[file].image, None))
        pipeline, size = self.pipeline, (image.shape[1], image.shape[2])
        box = random_crop(size, pipeline.crop_size, generator)
        flip = _flip(generator)
        margins = self.dataset.layout.margins
        valid = target_mask(size, box, margins, pipeline.shrink, pipeline.margins_of)
        # official: padding counts 255-fold in the mask; here: it is not trusted (docs/official.md 18).
        return {
            "image": finish(crop(image, box), pipeline.crop_size, flip, fill=0),
            "valid": finish(valid, pipeline.crop_size, flip, fill=0),
            "extent": torch.tensor(box.size),
            "file": torch.tensor(file),
        }


class ValImages(Dataset[dict[str, Any]]):
    """Read whole validation images with labels at their own size.

    Args:
        dataset: reads the files.
        samples: labelled, from `dataset.files`.
        shrink: divides the image size, see `Pipeline`.
        cache: folder where decoded pictures are kept; None for none.
    """

    def __init__(self, dataset: FolderDataset, samples: list[Sample], shrink: float, cache: Path | None = None) -> None:
        self.dataset, self.samples, self.read = dataset, samples, Reading(dataset, shrink, cache)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return "image" (uint8, 3 x h x w), "label" (uint8, H x W) and "index" of a file.

        Args:
            index: of the file; `UNCOUNTED` for the first one with every pixel ignored.
        """
        image, label = self.read(self.samples[max(index, 0)])
        assert label is not None, "validation samples are labelled"
        if index == UNCOUNTED:
            label = torch.full_like(label, self.dataset.classes.ignore)
        return {"image": image.contiguous(), "label": label, "index": index}


def ready(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what was drawn into numbers for a network, on the device where it lies by now, without a wait for it.

    Args:
        drawn: an item of one of the classes above, or a batch of such.

    Returns:
        "image" as float32, normalised, 0 where it is padding; "label" as int64, "valid" as float32, and the rest.
    """
    made = dict(drawn)
    if "image" in made:
        made["image"] = _without_padding(normalise(made["image"]), made.pop("extent", None))
    if "label" in made:
        made["label"] = made["label"].long()
    if "valid" in made:
        made["valid"] = made["valid"].float()
    return made


def _without_padding(image: Float[Tensor, "*B 3 h w"], extent: Int[Tensor, "*B 2"] | None) -> Float[Tensor, "*B 3 h w"]:
    if extent is None:
        return image
    rows, columns = (
        torch.arange(side, device=image.device) >= extent[..., axis, None] for axis, side in enumerate(image.shape[-2:])
    )
    return image.masked_fill_((rows[..., :, None] | columns[..., None, :]).unsqueeze(-3), 0)


def _flip(generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < FLIP_PROBABILITY)
