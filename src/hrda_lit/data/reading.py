"""Pictures as training uses them: decoded, images fitted into their box, and kept so on disk where that is wanted."""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.data import archives
from hrda_lit.data.folder import FolderDataset, Sample
from hrda_lit.data.images import opened
from hrda_lit.data.mixed import Images, members, of_sample
from hrda_lit.data.pixels import upright_size
from hrda_lit.data.transforms import Size, fitted_size, resize_image
from hrda_lit.system.best_effort import BestEffort
from hrda_lit.system.files import replacing

log = logging.getLogger(__name__)

_VERSION = 1  # raise it whenever other bytes are kept of the same files
_SIZED = 64  # files whose size stands for that of all


class Reading:
    """Read the pictures of a data set.

    Args:
        dataset: reads the files.
        downscale: divides the size of images, see `Pipeline`.
        folder: where they are kept as bytes, to be mapped into memory; None decodes them each time. What is kept
            counts as long as the file, by its size and time, and the settings stay as they are.
    """

    def __init__(self, dataset: FolderDataset, downscale: float, folder: Path | None = None) -> None:
        self.dataset, self.downscale = dataset, downscale
        self.folder = None if folder is None else folder / dataset.name
        self._writing = BestEffort("decoded pictures")

    def __call__(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        """Return the image at the size of its box, and the label, if the sample has one, at the file's own.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a file cannot be used.
        """
        if self.folder is None:
            return self._decoded(sample)
        paths = self.paths(sample)
        kept = [_load(path) for path in paths]
        if any(one is None for one in kept):
            made = self._decoded(sample)
            for path, one in zip(paths, made, strict=False):
                self._save(path, one)
            return made
        image, label = (*kept, None)[:2]
        assert image is not None
        return image.permute(2, 0, 1), label

    def paths(self, sample: Sample) -> list[Path]:
        """Return where the image and the label of a sample are kept."""
        settings = (self.dataset.size, self.downscale, self.dataset.layout.sizes), self.dataset.labels.key
        files = (path for path in sample if path is not None)
        return [self._path(path, setting) for path, setting in zip(files, settings, strict=False)]

    def bytes_to_keep(self, samples: Sequence[Sample]) -> int:
        """Estimate how many bytes are still to be written, from the sizes of some images, spread evenly over all."""
        new = [sample for sample in samples if not all(path.exists() for path in self.paths(sample))]
        some = [new[len(new) * index // _SIZED] for index in range(_SIZED)] if len(new) > _SIZED else new
        return sum(map(self._bytes, some)) * len(new) // max(len(some), 1)

    def _bytes(self, sample: Sample) -> int:
        height, width = opened(sample.image, upright_size)
        rows, columns = fitted_size((height, width), self.dataset.size, self.downscale)
        return 3 * rows * columns + (0 if sample.label is None else height * width)

    def _decoded(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        image, label = self.dataset.read(sample)
        return fitted(image, self.dataset.size, self.downscale)[0], label

    def _path(self, file: Path, setting: object) -> Path:
        assert self.folder is not None
        name = file.relative_to(self.dataset.root).as_posix()
        state = archives.state(file) if archives.is_file(file) else ()  # reading it says what is amiss
        digest = hashlib.blake2b(repr((_VERSION, name, state, setting)).encode(), digest_size=16).hexdigest()
        return self.folder / digest[:2] / f"{digest}.npy"

    def _save(self, path: Path, picture: UInt8[Tensor, "*C H W"] | None) -> None:
        if picture is not None:
            rows = picture.permute(1, 2, 0) if picture.ndim == 3 else picture
            with self._writing.writing(), replacing(path) as file:
                np.save(file, np.ascontiguousarray(rows.numpy()))


class Readings:
    """Read the pictures of one data set or of several, each into its own box, see `Reading`."""

    def __init__(self, data: Images, downscale: float, folder: Path | None = None) -> None:
        self.data, self.each = data, {member: Reading(member, downscale, folder) for member in members(data)}

    def __call__(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "h w"] | None]:
        """Return what the set of the sample has of it."""
        return self.each[of_sample(self.data, sample)](sample)


def fitted(
    image: UInt8[Tensor, "3 H W"], box: Size | None, downscale: float, scales: Sequence[float] = (1,)
) -> list[UInt8[Tensor, "3 h w"]]:
    """Fit an image into the box of its data set, as a network predicts it.

    Args:
        image: RGB in [0, 255], as it is in its file.
        box: see `fitted_size`.
        downscale: see `Pipeline`.
        scales: factors of the fitted size, > 0.

    Returns:
        It at each scale.
    """
    size = (image.shape[1], image.shape[2])
    return [resize_image(image, fitted_size(size, box, downscale / scale)) for scale in scales]


def _load(path: Path) -> UInt8[Tensor, "H W *C"] | None:
    """Map a file into memory; one that is cut or strange counts for none and is made anew."""
    try:
        pixels = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(pixels) if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 else None


def require_room(folder: Path, wanted: Sequence[tuple[Reading, Sequence[Sample]]]) -> None:
    """Announce how much will be kept in a folder, and refuse what does not fit.

    Args:
        folder: of what is kept; it need not be there yet.
        wanted: what reads, and what of.

    Raises:
        ValueError: if the disk has too little room.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    needed, free = sum(reading.bytes_to_keep(samples) for reading, samples in wanted), shutil.disk_usage(there).free
    if needed > free:
        raise ValueError(
            f"loading.cache would fill {folder} with another {_gigabytes(needed)}, but {_gigabytes(free)} are free "
            "there; choose a folder on another disk, or set loading.cache=null."
        )
    if needed:
        log.info("decoded pictures are kept in %s as they are used, at most %s more", folder, _gigabytes(needed))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
