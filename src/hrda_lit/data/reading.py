"""Pictures as training uses them: decoded, images fitted into their box, and optionally cached on disk so."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.data.cache import Arrays
from hrda_lit.data.folder import FolderDataset, Sample
from hrda_lit.data.mixed import Images, members, of_sample
from hrda_lit.data.transforms import Size, fitted_size, resize_image

log = logging.getLogger(__name__)

_SIZED = 64  # files whose size stands for that of all


class Reader:
    """Read the pictures of one data set or of several, images fitted into the box of their own.

    Args:
        data: reads the files.
        downscale: divisor of the size of images, see `Pipeline`.
        folder: folder where pictures are kept decoded, see `Arrays`; None decodes them each time.
    """

    def __init__(self, data: Images, downscale: float, folder: Path | None = None) -> None:
        self.data, self.downscale = data, downscale
        self._arrays = {one: None if folder is None else Arrays(folder / one.name, one.tree) for one in members(data)}

    def __call__(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        """Return the image at the size of its box, and the label, if the sample has one, at the file's own.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a file cannot be used.
        """
        dataset = of_sample(self.data, sample)
        if (arrays := self._arrays[dataset]) is None:
            return self._decode(dataset, sample)
        paths = self._paths(sample)
        kept = [array for path in paths if (array := arrays.load(path)) is not None]
        if len(kept) == len(paths):
            return kept[0].permute(2, 0, 1), kept[1] if len(kept) > 1 else None
        image, label = self._decode(dataset, sample)
        arrays.save(paths[0], image.permute(1, 2, 0))
        if label is not None:
            arrays.save(paths[1], label)
        return image, label

    def _paths(self, sample: Sample) -> list[Path]:
        dataset = of_sample(self.data, sample)
        arrays, layout = self._arrays[dataset], dataset.layout
        assert arrays is not None
        settings = (dataset.size, self.downscale, layout.sizes, layout.bits), dataset.labels.key
        return [arrays.path(path, setting) for path, setting in zip(sample, settings, strict=True) if path is not None]

    def bytes_to_keep(self, samples: Sequence[Sample]) -> int:
        """Estimate how many bytes are still to be written, from the sizes of evenly spread images."""
        new = [sample for sample in samples if not all(path.exists() for path in self._paths(sample))]
        some = [new[len(new) * index // _SIZED] for index in range(_SIZED)] if len(new) > _SIZED else new
        return sum(map(self._bytes, some)) * len(new) // max(len(some), 1)

    def _bytes(self, sample: Sample) -> int:
        dataset = of_sample(self.data, sample)
        height, width = dataset.read_size(sample.image)
        rows, columns = fitted_size((height, width), dataset.size, self.downscale)
        return 3 * rows * columns + (0 if sample.label is None else height * width)

    def _decode(
        self, dataset: FolderDataset, sample: Sample
    ) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        image, label = dataset.read(sample)
        return fitted(image, dataset.size, self.downscale)[0], label


def fitted(
    image: UInt8[Tensor, "3 H W"], box: Size | None, downscale: float, scales: Sequence[float] = (1,)
) -> list[UInt8[Tensor, "3 h w"]]:
    """Fit an image into the box of its data set, at each scale of the fitted size; see `fitted_size`."""
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
