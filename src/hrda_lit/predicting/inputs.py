"""The pictures to predict: one image, a folder, a glob or a video."""

import glob
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from hrda_lit.data.file_tree import existing, literal, search, walk
from hrda_lit.data.images import SUFFIXES, read_pixels
from hrda_lit.data.pixels import Pixels
from hrda_lit.predicting.output import is_output
from hrda_lit.predicting.video import VIDEO_SUFFIXES, Video, open_video, read_frames
from hrda_lit.system.paths import require_below
from hrda_lit.system.text import count

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix not in VIDEO_SUFFIXES)


class Item(NamedTuple):
    """One picture: the name of its outputs (`/` between folders, no suffix), its source and its reader."""

    name: str
    source: str
    read: Callable[[], Pixels]


class Inputs(NamedTuple):
    """Pictures in order."""

    items: Iterable[Item]  # of a damaged video, iterating ends in a ValueError
    total: int | None  # None if a video does not say
    base: Path  # folder or video at which their names start
    video: Video | None = None  # that the pictures are frames of
    skipped: int = 0  # files beside the images that are not images


def find_inputs(spec: str, bits: int | None = None) -> Inputs:
    """List the pictures that `spec` means, without those that were predicted before; report what is skipped.

    Args:
        spec: an image or video file, a folder, which is searched with all below it, linked folders too, or a
            glob (`**` for any depth).
        bits: bits that 16-bit images use, see `read_pixels`.

    Returns:
        At least one picture; names repeat the tree below the folder or below a glob's part without wildcards.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: if a single file cannot be read.
    """
    path = existing(Path(spec).expanduser())
    read = partial(read_pixels, bits=bits)
    if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        if bits is not None:
            raise ValueError(f"bits={bits} is of 16-bit images, and {path} is a video; remove bits.")
        return _video(path)
    if path.is_file():
        return _single(path, read)
    base, found = (path, walk(path)) if path.is_dir() else _globbed(path)
    files = sorted(file for file in found if _is_shown(file, base) and not is_output(file, base))
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise FileNotFoundError(
            f"no image at input={spec}; give an image, a video, a folder or a glob of files that end in "
            f"{' '.join(IMAGE_SUFFIXES)}."
        )
    others = sorted(set(files) - set(images))
    names = _name_outputs(images, base)
    _report(others, [name for image, name in names.items() if base / name == image], base)
    return image_inputs(names, base, read)._replace(skipped=len(others))


def _report(others: Sequence[Path], suffixed: Sequence[str], base: Path) -> None:
    """Report files that are not images, and outputs that keep the suffix of their image."""
    if others:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in others)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        log.warning("skipped files that are not images: %s, e.g. %s", counts, others[0].relative_to(base))
    if suffixed:
        log.warning(
            "outputs of %s of equal stems keep the suffix, e.g. %s.png", count(len(suffixed), "image"), suffixed[0]
        )


def image_inputs(names: Mapping[Path, str], base: Path, read: Callable[[Path], Pixels] = read_pixels) -> Inputs:
    """Make inputs of image files with the names of their outputs."""
    items = [Item(name, str(path), partial(read, path)) for path, name in names.items()]
    return Inputs(items, len(items), base)


def _single(path: Path, read: Callable[[Path], Pixels]) -> Inputs:
    # A single image that cannot be predicted is refused here, before a model is loaded for it.
    pixels = read(path)
    names = _name_outputs([path], path.parent)
    require_below(names[path], f"the name of the outputs of {str(path)!r}")
    return image_inputs(names, path.parent, lambda _: pixels)


def _video(path: Path) -> Inputs:
    require_below(path.stem, f"the name of the outputs of {str(path)!r}")
    video = open_video(path)
    frames = (Item(f"{path.stem}/{index:06d}", f"{path} frame {index}", read) for index, read in read_frames(path))
    return Inputs(frames, video.frames, path, video)


def _name_outputs(images: Sequence[Path], base: Path) -> dict[Path, str]:
    """Name images by their path below `base`, with its suffix where another image has the same stem.

    Images beside them count as well, so that an image has the same name whichever of them are predicted.
    """
    taken: Counter[Path] = Counter()
    for folder in {image.parent for image in images}:
        for file in folder.iterdir():
            if file.suffix.lower() in IMAGE_SUFFIXES:
                taken.update([file, folder / file.stem])
    names = {}
    for image in images:
        short = image.parent / image.stem
        names[image] = (short if taken[short] < 2 else image).relative_to(base).as_posix()
    return names


def _globbed(pattern: Path) -> tuple[Path, Iterable[Path]]:
    # A bracket in the name of a folder that is there is a bracket.
    base, rest = literal(Path(), pattern.parts)
    fixed = list(takewhile(lambda part: not glob.has_magic(part), rest[:-1]))
    return base.joinpath(*fixed), search(base, "/".join(rest)) if rest else []


def _is_shown(path: Path, base: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(base).parts) and path.is_file()
