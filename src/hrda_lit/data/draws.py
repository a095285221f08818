"""Training crops and validation images; a crop is a function of (seed, domain, draw index) alone."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from hrda_lit.data.crops import is_varied, random_crop, retry
from hrda_lit.data.folder import Sample
from hrda_lit.data.margins import target_mask
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.data.rare_class import RareClassSampler
from hrda_lit.data.several import Images, of_sample, shares
from hrda_lit.data.transforms import Size, finish, fitted_size, resize_image, resize_label
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

    DAFormer section 3.3; HRDA section 4.1.
    """

    def __init__(
        self,
        dataset: Images,
        samples: list[Sample],
        pipeline: Pipeline,
        seed: int,
        rare: RareClassSampler | None = None,
    ) -> None:
        self.dataset, self.samples, self.pipeline, self.seed, self.rare = (
            dataset,
            samples,
            pipeline,
            seed,
            rare,
        )
        self.shares = shares(dataset, samples)

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        """Return "image" (float32, 3 x h x w, normalised), "label" (int64, h x w) and "file", its index, of a draw."""
        generator = rng.generator(self.seed, "source", draw)
        wanted, file = self._pick(generator)
        dataset = of_sample(self.dataset, self.samples[file])
        image, label = dataset.read(self.samples[file])
        assert label is not None, "source samples are labelled"
        pipeline, ignore = self.pipeline, dataset.classes.ignore
        size, label_size = (
            fitted_size((x.shape[-2], x.shape[-1]), dataset.size, pipeline.shrink) for x in (image, label)
        )
        # Two sizes where layout.sizes is "differ": the box is the image's, and what the label lacks of it is ignored.
        label = resize_label(label, label_size)
        # official: each retry of rare class sampling decodes and resizes the files again; here: once, because
        # only the box and the flip differ.
        box = self._box(label, size, wanted, generator)
        flip = _flip(generator)
        part = crop(resize_image(image, size), box)
        if pipeline.distortion is not None:
            part = pipeline.distortion(part, generator)
        return {
            "image": finish(normalise(part), pipeline.crop_size, flip, fill=0),
            "label": finish(crop(label, box), pipeline.crop_size, flip, fill=ignore).long(),
            "file": torch.tensor(file),
        }

    def _pick(self, generator: torch.Generator) -> tuple[int | None, int]:
        if self.rare is not None:
            return self.rare.pick(generator)
        # official: without rare class sampling, shuffled pairs of source and target files; here: independent
        # uniform draws, so that a draw needs no list of all pairs.
        return None, _any_file(len(self.samples), self.shares, generator)

    def _box(self, label: UInt8[Tensor, "H W"], size: Size, wanted: int | None, generator: torch.Generator) -> Box:
        pipeline, ignore = self.pipeline, self.dataset.classes.ignore
        varied = partial(
            retry,
            lambda: random_crop(size, pipeline.crop_size, generator),
            lambda box: is_varied(crop(label, box), ignore, pipeline.cat_max_ratio),
            pipeline.crop_tries,
        )
        options = pipeline.rare_class
        if wanted is None or options is None:
            return varied()
        enough = options.accept_pixels(pipeline.shrink)
        return retry(varied, lambda box: int((crop(label, box) == wanted).sum()) > enough, options.max_tries)


class TargetDraws(Dataset[dict[str, Tensor]]):
    """Draw crops of the target, files uniformly with replacement; no label is needed.

    Args:
        dataset: reads the files.
        samples: from `dataset.files`.
        pipeline: how crops are made.
        seed: of the run.

    HRDA section 4.1.
    """

    def __init__(self, dataset: Images, samples: list[Sample], pipeline: Pipeline, seed: int) -> None:
        self.dataset, self.samples, self.pipeline, self.seed = dataset, samples, pipeline, seed
        self.shares = shares(dataset, samples)

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        """Return "image" (float32, 3 x h x w, normalised), "valid" (float32, h x w, 0 or 1) and "file" of a draw."""
        generator = rng.generator(self.seed, "target", draw)
        file = _any_file(len(self.samples), self.shares, generator)
        dataset = of_sample(self.dataset, self.samples[file])
        image, _ = dataset.read(Sample(self.samples[file].image, None))
        pipeline = self.pipeline
        size = fitted_size((image.shape[1], image.shape[2]), dataset.size, pipeline.shrink)
        box = random_crop(size, pipeline.crop_size, generator)
        flip = _flip(generator)
        margins = dataset.layout.margins
        valid = target_mask(size, box, margins, pipeline.shrink, pipeline.margins_of).float()
        cut = normalise(crop(resize_image(image, size), box))
        # official: padding counts 255-fold in the mask; here: it is not trusted (docs/official.md 18).
        return {
            "image": finish(cut, pipeline.crop_size, flip, fill=0),
            "valid": finish(valid, pipeline.crop_size, flip, fill=0),
            "file": torch.tensor(file),
        }


class ValImages(Dataset[dict[str, Any]]):
    """Read whole validation images with labels at their own size.

    Args:
        dataset: reads the files.
        samples: labelled, from `dataset.files`.
        shrink: divides the image size, see `Pipeline`.
        scales: factors at which the image is wanted too, resized from its file.
    """

    def __init__(self, dataset: Images, samples: list[Sample], shrink: float, scales: Sequence[float] = ()) -> None:
        self.dataset, self.samples, self.shrink, self.scales = dataset, samples, shrink, scales

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return "image" (float32, 3 x h x w, normalised), "label" (int64, H x W) and "index" of a file.

        With scales, "scaled" holds the image at each of them.

        Args:
            index: of the file; `UNCOUNTED` for the first one with every pixel ignored.
        """
        sample = self.samples[max(index, 0)]
        dataset = of_sample(self.dataset, sample)
        image, label = dataset.read(sample)
        assert label is not None, "validation samples are labelled"
        if index == UNCOUNTED:
            label = torch.full_like(label, self.dataset.classes.ignore)
        fitted, *scaled = prepared(image, dataset.size, self.shrink, (1, *self.scales))
        return {"image": fitted, "label": label.long(), "index": index} | ({"scaled": scaled} if scaled else {})


def prepared(
    image: UInt8[Tensor, "3 H W"], box: Size | None, shrink: float, scales: Sequence[float] = (1,)
) -> list[Float[Tensor, "3 h w"]]:
    """Fit an image into the box of its data set, as a network predicts it.

    Args:
        image: RGB in [0, 255], as it is in its file.
        box: see `fitted_size`.
        shrink: see `Pipeline`.
        scales: factors of the fitted size, > 0.

    Returns:
        It at each scale, normalised.
    """
    size = (image.shape[1], image.shape[2])
    return [normalise(resize_image(image, fitted_size(size, box, shrink / scale))) for scale in scales]


def _any_file(count: int, often: Tensor | None, generator: torch.Generator) -> int:
    drawn = (
        torch.randint(count, (), generator=generator)
        if often is None
        else torch.multinomial(often, 1, generator=generator)
    )
    return int(drawn)


def _flip(generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < FLIP_PROBABILITY)
