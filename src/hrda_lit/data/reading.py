"""Pictures as training and validation use them: decoded, fitted into their box, optionally cached."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from hrda_lit.data.cache import Arrays
from hrda_lit.data.folder import Sample, spread
from hrda_lit.data.mixed import Images
from hrda_lit.data.transforms import Size, fitted_size, resize_image

log = logging.getLogger(__name__)

UNCOUNTED = -1  # a validation image that a process without any gets
_SIZED = 64  # files whose size stands for that of all


class Reader:
    """Read the pictures of one dataset or of several, images fitted into the box of their own.

    `downscale` divides the size of images, see `Pipeline`; `folder` keeps pictures decoded, see `Arrays`.
    """

    def __init__(self, data: Images, downscale: float, folder: Path | None = None) -> None:
        self.data, self.downscale = data, downscale
        self._arrays = {}
        if folder is not None:
            self._arrays = {one: Arrays(folder / one.name, one.tree) for one in data.members}

    def __call__(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        """Return the image at the size of its box, and the sample's label, if any, at the file's own."""
        if not self._arrays:
            return self._decode(sample)
        arrays, paths = self._arrays[self.data.of(sample)], self._paths(sample)
        kept = [array for path in paths if (array := arrays.load(path)) is not None]
        if len(kept) == len(paths):
            return kept[0].permute(2, 0, 1), kept[1] if len(kept) > 1 else None
        image, label = self._decode(sample)
        arrays.save(paths[0], image.permute(1, 2, 0))
        if label is not None:
            arrays.save(paths[1], label)
        return image, label

    def _paths(self, sample: Sample) -> list[Path]:
        dataset = self.data.of(sample)
        arrays, layout = self._arrays[dataset], dataset.layout
        paths = [arrays.path(sample.image, (dataset.size, self.downscale, layout.sizes, layout.bits))]
        return paths if sample.label is None else [*paths, arrays.path(sample.label, dataset.labels.key)]

    def bytes_to_keep(self, samples: Sequence[Sample]) -> int:
        """Estimate how many bytes are still to be written, from the sizes of evenly spread images."""
        new = [sample for sample in samples if not all(path.exists() for path in self._paths(sample))]
        some = spread(new, _SIZED)
        return sum(map(self._bytes, some)) * len(new) // max(len(some), 1)

    def _bytes(self, sample: Sample) -> int:
        dataset = self.data.of(sample)
        height, width = dataset.read_size(sample.image)
        rows, columns = fitted_size((height, width), dataset.size, self.downscale)
        return 3 * rows * columns + (0 if sample.label is None else height * width)

    def _decode(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        dataset = self.data.of(sample)
        image, label = dataset.read(sample)
        return fitted(image, dataset.size, self.downscale)[0], label


class ValImages(Dataset[dict[str, Any]]):
    """Read whole validation images with labels at their own size, see `Reader` for `downscale` and `cache`.

    `scales` are further factors of the image, resized from its file, which then is decoded each time.
    """

    def __init__(
        self,
        dataset: Images,
        samples: list[Sample],
        downscale: float,
        cache: Path | None = None,
        scales: Sequence[float] = (),
    ) -> None:
        self.dataset, self.samples, self.downscale, self.scales = dataset, samples, downscale, scales
        self.read = Reader(dataset, downscale, cache)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return "image" (uint8, 3 x h x w), "label" (uint8, H x W), "index" and, with scales, "scaled".

        `UNCOUNTED` is the first file with every pixel ignored.
        """
        sample = self.samples[max(index, 0)]
        if self.scales:
            dataset = self.dataset.of(sample)
            whole, label = dataset.read(sample)
            image, *scaled = fitted(whole, dataset.size, self.downscale, (1, *self.scales))
        else:
            (image, label), scaled = self.read(sample), []
        assert label is not None, "validation samples are labelled"
        if index == UNCOUNTED:
            label = torch.full_like(label, self.dataset.classes.ignore)
        item = {"image": image.contiguous(), "label": label, "index": index}
        return item | ({"scaled": [one.contiguous() for one in scaled]} if scaled else {})


def fitted(
    image: UInt8[Tensor, "3 H W"], box: Size | None, downscale: float, scales: Sequence[float] = (1,)
) -> list[UInt8[Tensor, "3 h w"]]:
    """Fit an image into the box of its dataset, at each scale of the fitted size; see `fitted_size`."""
    size = (image.shape[1], image.shape[2])
    return [resize_image(image, fitted_size(size, box, downscale / scale)) for scale in scales]


def require_room(folder: Path, reading: Sequence[tuple[Reader, Sequence[Sample]]]) -> None:
    """Announce how much readers will keep in a folder; a ValueError if the disk has too little room."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    needed, free = sum(reader.bytes_to_keep(samples) for reader, samples in reading), shutil.disk_usage(there).free
    if needed > free:
        raise ValueError(
            f"loading.cache would fill {folder} with another {_gigabytes(needed)}, but {_gigabytes(free)} are free "
            "there; choose a folder on another disk, or set loading.cache=null."
        )
    if needed:
        log.info("decoded pictures are kept in %s as they are used, at most %s more", folder, _gigabytes(needed))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
