"""The pictures to predict: one image, a folder, a glob or a video."""

import glob
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from hrda_lit.data.file_tree import existing, literal, search, walk
from hrda_lit.data.images import read_pixels
from hrda_lit.data.pixels import Pixels
from hrda_lit.predicting.video import VIDEO_SUFFIXES, count_frames, read_frames
from hrda_lit.system.paths import require_below

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")


class Item(NamedTuple):
    """One picture: the name of its outputs (`/` between folders, no suffix), its source and its reader."""

    name: str
    source: str
    read: Callable[[], Pixels]


class Inputs(NamedTuple):
    """Pictures in order.

    Attributes:
        items: pictures; of a damaged video, iterating ends in a ValueError.
        total: number of pictures; None if a video does not say.
        base: folder or video at which their names start.
        refused: a sentence for each image that cannot be predicted because of its name.
        others: files beside the images that are none.
    """

    items: Iterable[Item]
    total: int | None
    base: Path
    refused: tuple[str, ...] = ()
    others: tuple[Path, ...] = ()

    @property
    def video(self) -> Path | None:
        """Return the video that the pictures are frames of; None for image files."""
        return self.base if self.base.suffix.lower() in VIDEO_SUFFIXES and self.base.is_file() else None


def find_inputs(spec: str, leave_out: Collection[Path] = ()) -> Inputs:
    """List the pictures that `spec` means.

    Args:
        spec: an image or video file, a folder, which is searched with all below it, linked folders too, or a
            glob (`**` for any depth).
        leave_out: files and folders to skip, because predictions are written there.

    Returns:
        At least one picture; names repeat the tree below the folder or below a glob's part without wildcards.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: if a single file cannot be read, or two images would have outputs of one name.
    """
    path = existing(Path(spec).expanduser())
    if path.is_file():
        return _video(path) if path.suffix.lower() in VIDEO_SUFFIXES else _single(path)
    base, found = (path, walk(path)) if path.is_dir() else _globbed(path)
    skipped = [one.absolute() for one in leave_out] + [one.resolve() for one in leave_out]
    files = sorted(file for file in found if _is_shown(file, base) and not _lies_below(file, skipped))
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise FileNotFoundError(
            f"no image at input={spec}; give an image, a video, a folder or a glob of files that end in "
            f"{' '.join(IMAGE_SUFFIXES)}."
        )
    names = {image: image.relative_to(base).with_suffix("").as_posix() for image in images}
    return image_inputs(names, base)._replace(others=tuple(file for file in files if file not in names))


def image_inputs(names: dict[Path, str], base: Path, read: Callable[[Path], Pixels] = read_pixels) -> Inputs:
    """Make inputs of image files with the names of their outputs; files whose name cannot be one are refused.

    Raises:
        ValueError: if two files have one name.
    """
    if twice := [name for name, times in Counter(names.values()).items() if times > 1]:
        first, second = [path for path, name in names.items() if name == twice[0]][:2]
        raise ValueError(
            f"{first} and {second} would have outputs of the same name {twice[0]}; choose one of them, "
            f"e.g. by a glob like input='{base}/**/*{first.suffix}'."
        )
    items, refused = list[Item](), list[str]()
    for path, name in names.items():
        try:
            require_below(name, f"the name of the outputs of {str(path)!r}")
        except ValueError as error:
            refused.append(str(error))
        else:
            items.append(Item(name, str(path), partial(read, path)))
    return Inputs(items, len(items), base, tuple(refused))


def _single(path: Path) -> Inputs:
    read_pixels(path)  # a single broken image is refused here, before a model is loaded for it
    require_below(path.stem, f"the name of the outputs of {str(path)!r}")
    return image_inputs({path: path.stem}, path.parent)


def _video(path: Path) -> Inputs:
    require_below(path.stem, f"the name of the outputs of {str(path)!r}")
    frames = (Item(f"{path.stem}/{index:06d}", f"{path} frame {index}", read) for index, read in read_frames(path))
    return Inputs(frames, count_frames(path), path)


def _globbed(pattern: Path) -> tuple[Path, Iterable[Path]]:
    # A bracket in the name of a folder that is there is a bracket.
    base, rest = literal(Path(), pattern.parts)
    fixed = list(takewhile(lambda part: not glob.has_magic(part), rest[:-1]))
    return base.joinpath(*fixed), search(base, "/".join(rest)) if rest else []


def _is_shown(path: Path, base: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(base).parts) and path.is_file()


def _lies_below(path: Path, folders: Collection[Path]) -> bool:
    return any(one.is_relative_to(folder) for one in (path.absolute(), path.resolve()) for folder in folders)
