"""Split lists: text files with the names of a split's images, one a line."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from hrda_lit.data.file_tree import same


def read_lines(listing: Path, content: bytes | None = None) -> list[str]:
    """Read the lines of a split list, stripped, without blank ones.

    `content` holds the bytes of a list in an archive. A ValueError names a list that is not text in UTF-8.
    """
    try:
        text = (listing.read_bytes() if content is None else content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{listing} is not text in UTF-8 ({error.reason}); save it as such.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def match_lines(
    lines: Sequence[str], images: Sequence[Path], listing: Path, ending: str = ""
) -> tuple[list[Path], list[str]]:
    """Find the image of each line; return the images in their own order, and the lines without one.

    Args:
        lines: one name each, with or without suffix or `ending`; where it has folders, they must be the
            image's last. A second column, after a tab, a comma or a blank, is not read. One that starts with
            # and names no image is a comment.
        images: images of all splits.
        listing: path of the list, for messages.
        ending: text with which the name of every image ends, e.g. "_leftImg8bit.png".

    Raises:
        ValueError: if a line means several images.
    """
    index = _index(images, ending)
    taken, absent = set(), []
    for line in lines:
        readings = (_meant(name, index) for name in _readings(line))
        found = next(filter(None, readings), [])
        if len(found) > 1:
            raise ValueError(
                f"the line '{line}' of {listing} means both {found[0]} and {found[1]}; add the folders or the "
                "suffix that differ."
            )
        if not found and not line.startswith("#"):
            absent.append(line)
        taken.update(found)
    return [path for path in images if path in taken], absent


def _index(images: Iterable[Path], ending: str) -> dict[str, list[Path]]:
    index: dict[str, list[Path]] = {}
    for path in images:
        for name in {same(path.name), same(path.stem), same(path.name.removesuffix(ending))}:
            index.setdefault(name, []).append(path)
    return index


def _readings(line: str) -> list[PurePosixPath]:
    """Return what a line may name: all of it, or its first column."""
    columns = (line, line.split("\t")[0], line.split(",")[0], line.split()[0])
    return [PurePosixPath(same(text.strip().replace("\\", "/"))) for text in dict.fromkeys(columns)]


def _meant(name: PurePosixPath, index: dict[str, list[Path]]) -> list[Path]:
    folders = [part for part in name.parts[:-1] if part != "/"]
    end = "/".join(["", *folders, ""])
    found = index.get(name.name, [])
    return [path for path in found if f"{same(path.absolute().parent.as_posix())}/".endswith(end)]
