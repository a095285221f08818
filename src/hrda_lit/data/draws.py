"""Training crops and validation images; a crop is a function of (seed, domain, draw index).

Items are uint8 (a quarter of float32); `ready` normalises them on the device.
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

from hrda_lit.data.folder import Sample
from hrda_lit.data.layout import Margins, crop_mask, image_mask
from hrda_lit.data.mixed import Images
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.data.rare_class import RareClassSampler, draw_index
from hrda_lit.data.reading import Reader
from hrda_lit.data.transforms import (
    Size,
    finish,
    fitted_size,
    is_varied,
    random_crop,
    resize_image,
    resize_label,
    retry,
)
from hrda_lit.ops import rng
from hrda_lit.ops.boxes import Box, crop
from hrda_lit.ops.normalise import normalise

FLIP_PROBABILITY = 0.5  # HRDA and DAFormer, official code


class DomainDraws(Dataset[dict[str, Tensor]]):
    """Draw crops of labelled (source) or unlabelled samples of `dataset.files`, see `Reader` for `cache`.

    Without `rare`, the rare class sampling of a source, files are drawn uniformly.
    """

    def __init__(
        self,
        dataset: Images,
        samples: list[Sample],
        pipeline: Pipeline,
        seed: int,
        rare: RareClassSampler | None = None,
        cache: Path | None = None,
    ) -> None:
        self.dataset, self.samples, self.pipeline, self.seed, self.rare = dataset, samples, pipeline, seed, rare
        self.read, self.shares = Reader(dataset, pipeline.downscale, cache), dataset.shares(samples)

    def _scaled(
        self, image: UInt8[Tensor, "3 H W"], generator: torch.Generator
    ) -> tuple[UInt8[Tensor, "3 h w"], float]:
        """Resize an image by a random factor, and return that too."""
        if self.pipeline.scale_jitter is None:
            return image, 1.0
        low, high = self.pipeline.scale_jitter
        factor = low + (high - low) * float(torch.rand((), generator=generator))
        return resize_image(image, fitted_size((image.shape[1], image.shape[2]), None, 1 / factor)), factor

    def _file(self, generator: torch.Generator) -> int:
        return draw_index(len(self.samples), self.shares, generator)

    def _part(self, draw: int) -> Box:
        """Draw the part of a padded crop that is trained on: the same for source and target of one draw."""
        pipeline = self.pipeline
        return random_crop(pipeline.crop_size, pipeline.train_size, rng.generator(self.seed, "sync_crop", draw))


class SourceDraws(DomainDraws):
    """Draw labelled crops of the source, see `DomainDraws`.

    DAFormer section 3.3; HRDA section 4.1.
    """

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        """Return "image" (uint8, 3 x h x w), "label" (uint8, h x w), "extent" and "file" of a draw.

        "extent" is the height and width of both without padding, "file" the index of the image.
        """
        generator = rng.generator(self.seed, "source", draw)
        # official: without rare class sampling, shuffled pairs of source and target files; here: independent
        # uniform draws, so that a draw needs no list of all pairs.
        class_id, file = self.rare.pick(generator) if self.rare else (None, self._file(generator))
        image, label = self.read(self.samples[file])
        assert label is not None, "source samples are labelled"
        dataset, pipeline = self.dataset.of(self.samples[file]), self.pipeline
        image, factor = self._scaled(image, generator)
        size = (image.shape[1], image.shape[2])
        label_size = fitted_size((label.shape[0], label.shape[1]), dataset.size, pipeline.downscale)
        label_size = fitted_size(label_size, None, 1 / factor)
        # Two sizes where layout.sizes is "differ": the box is the image's, and what the label lacks of it is
        # ignored. Cache the last candidate: it is the accepted one.
        labels_in = lru_cache(maxsize=1)(partial(resize_label, label, label_size))
        # official: each retry of rare class sampling decodes and resizes the files again; here: once, because
        # only the box and the flip differ.
        box, part = self._box(labels_in, size, class_id, generator), self._part(draw)
        flip = bool(torch.rand((), generator=generator) < FLIP_PROBABILITY)
        cut = crop(image, box)
        if pipeline.distortion is not None:
            cut = pipeline.distortion(cut, generator)
        return {
            "image": finish(cut, pipeline.crop_size, flip, 0, part),
            "label": finish(labels_in(box), pipeline.crop_size, flip, dataset.classes.ignore, part),
            "extent": torch.tensor(_extent(box, part)),
            "file": torch.tensor(file),
        }

    def _box(
        self,
        labels_in: Callable[[Box], UInt8[Tensor, "h w"]],
        size: Size,
        class_id: int | None,
        generator: torch.Generator,
    ) -> Box:
        pipeline, options, ignore = self.pipeline, self.pipeline.rare_class, self.dataset.classes.ignore
        enough = options.accept_pixels(pipeline.downscale) if options else 0

        def draw() -> Box:
            return random_crop(size, pipeline.crop_size, generator)

        def is_mixed(box: Box) -> bool:
            return is_varied(labels_in(box), ignore, pipeline.cat_max_ratio)

        def has_class(box: Box) -> bool:
            return bool(np.count_nonzero(labels_in(box).numpy() == class_id) > enough)

        if class_id is None or options is None:
            return retry(draw, is_mixed, pipeline.crop_tries)
        if options.jointly:
            return retry(draw, lambda box: has_class(box) and is_mixed(box), options.max_tries)
        return retry(lambda: retry(draw, is_mixed, pipeline.crop_tries), has_class, options.max_tries)


class TargetDraws(DomainDraws):
    """Draw crops of the target, files uniformly with replacement, see `DomainDraws`; no label is needed.

    HRDA section 4.1.
    """

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        """Return "image", "extent" and "file" as for the source, and "valid" (uint8, h x w, 0 or 1) of a draw."""
        generator = rng.generator(self.seed, "target", draw)
        file = self._file(generator)
        sample = Sample(self.samples[file].image, None)
        image, factor = self._scaled(self.read(sample)[0], generator)
        pipeline, size, downscale = self.pipeline, (image.shape[1], image.shape[2]), self.pipeline.downscale / factor
        box, part = random_crop(size, pipeline.crop_size, generator), self._part(draw)
        flip = bool(torch.rand((), generator=generator) < FLIP_PROBABILITY)
        extent = _extent(box, part)
        margins = Margins() if pipeline.margins_of is None else self.dataset.of(sample).layout.margins
        # official: padding counts 255-fold in the mask; here: it is not trusted (docs/official.md 18).
        if pipeline.margins_of == "crop":
            valid = finish(crop_mask(extent, margins, downscale), part.size, flip, 0)
        else:
            trusted = crop(image_mask(size, margins, downscale), box)
            valid = finish(trusted, pipeline.crop_size, flip, 0, part)
        return {
            "image": finish(crop(image, box), pipeline.crop_size, flip, 0, part),
            "valid": valid,
            "extent": torch.tensor(extent),
            "file": torch.tensor(file),
        }


def ready(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an item or batch into what a network takes, on the device where it is, without a host sync.

    Images become normalised float32, 0 where padded, "scaled" too; "label" int64, "valid" float32.
    """
    made = dict(drawn)
    if "image" in made:
        made["image"] = _without_padding(normalise(made["image"]), made.pop("extent", None))
    if "scaled" in made:
        made["scaled"] = [normalise(image) for image in made["scaled"]]
    if "label" in made:
        made["label"] = made["label"].long()
    if "valid" in made:
        made["valid"] = made["valid"].float()
    return made


def _without_padding(image: Float[Tensor, "*B 3 h w"], extent: Int[Tensor, "*B 2"] | None) -> Float[Tensor, "*B 3 h w"]:
    if extent is None:
        return image
    height, width = image.shape[-2:]
    rows = torch.arange(height, device=image.device) >= extent[..., 0, None]
    columns = torch.arange(width, device=image.device) >= extent[..., 1, None]
    return image.masked_fill_((rows[..., :, None] | columns[..., None, :]).unsqueeze(-3), 0)


def _extent(box: Box, part: Box) -> Size:
    """Return (height, width) of the part of a padded crop without its padding."""
    bottom, right = box.size
    height = min(max(bottom, part.top), part.bottom) - part.top
    return height, min(max(right, part.left), part.right) - part.left
