"""Find the images, labels and splits of a folder as people keep them."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hrda_lit.data import file_tree
from hrda_lit.data.images import SUFFIXES
from hrda_lit.data.split_lists import match_lines, read_lines
from hrda_lit.proposal.rules import IMAGE_FOLDER, Name, Rule, best_rule, take_apart

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
LIST_FOLDERS = ("", "ImageSets/Segmentation", "ImageSets/Main", "splits", "lists")


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Args:
        root: the folder.
        images: paths below root, `/` between folders, sorted.
        labels: path of the label of each image that has one.
        rule: rule from image to label; None without labels.
        unused: files that are neither images nor labels by that rule.
        splits: images of "train", "val" and "test", as lists or folders of the data say; empty if
            nothing says so.
        why: origin of the splits, in words.
    """

    root: Path
    images: list[str]
    labels: dict[str, str]
    rule: Rule | None
    unused: list[str] = field(default_factory=list)
    splits: dict[str, list[str]] = field(default_factory=dict)
    why: str = ""

    def pattern(self) -> str:
        """Return a glob that fits paths of one depth, part by part, or all below the folders they share."""
        paths = [PurePosixPath(image) for image in self.images]
        parts = [path.parts[:-1] for path in paths]
        if len(set(map(len, parts))) == 1:
            folders = ["*" if len(set(column)) > 1 else column[0] for column in zip(*parts, strict=True)]
        else:
            folders = [*PurePosixPath(os.path.commonpath([path.parent for path in paths])).parts, "**"]
        escaped = [re.sub(r"([\[\]?])", r"[\1]", folder) for folder in folders]
        suffixes = {path.suffix for path in paths}
        ends = {take_apart(image).end for image in self.images}
        end = ends.pop() if len(ends) == len(suffixes) == 1 else ""
        suffix = suffixes.pop() if len(suffixes) == 1 else ""
        return "/".join([*escaped, f"*{end}{suffix}"])


def discover(root: Path, role: str, labels: str | None = None) -> Found:
    """Find images, labels and splits; labels may be missing.

    Args:
        root: folder of the data.
        role: source or target, for the keys that errors name.
        labels: part of the path of every label, where the rules leave a choice; "none" if no file is
            a label; None where no choice is expected.

    Raises:
        FileNotFoundError: if the folder is missing, or holds no images.
        ValueError: if labels fit several rules.
    """
    if not root.exists():
        raise FileNotFoundError(f"{role}={root} does not exist; correct the path.")
    if not root.is_dir():
        raise FileNotFoundError(
            f"{role}={root} is a file; give a folder: unpack an archive, extract the frames of a video."
        )
    names = {file: take_apart(file) for file in sorted(walk(root, (*SUFFIXES, ".npy")))}
    rule, pairs = (None, {}) if labels == "none" else best_rule(names, role, labels)
    images = _images(names, set(pairs.values()), rule)
    if not images:
        raise FileNotFoundError(
            f"{role}={root} has no image ({', '.join(SUFFIXES)}) below it; give another folder, "
            "unpack its archives, or extract the frames of its videos."
        )
    splits, why = _listed(root, images)
    if not splits:
        splits, why = _by_folder(images), "folders of the data are named so"
    unused = sorted(set(names).difference(images, pairs.values()))
    labelled = {image: pairs[image] for image in images if image in pairs}
    return Found(root, images, labelled, rule, unused, splits, why)


def walk(root: Path, endings: Sequence[str]) -> Iterator[str]:
    """Yield paths of files below a folder; linked folders are followed once, hidden ones skipped."""
    for path in file_tree.walk(root):
        relative = path.relative_to(root)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if not is_hidden and path.name.lower().endswith(tuple(endings)):
            yield relative.as_posix()


def _images(names: Mapping[str, Name], labels: set[str], rule: Rule | None) -> list[str]:
    """List the files that are images and not labels."""
    images = [file for file, name in names.items() if file not in labels and name.suffix != ".npy"]
    if rule is not None:
        images = [file for file in images if rule.label_of(file) is not None]
    images = [file for file in images if not names[file].says_label()] or images
    if rule is not None:
        return images
    return [file for file in images if any(map(IMAGE_FOLDER.match, names[file].folders))] or images


def _listed(root: Path, images: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Read the lists of splits that lie where people keep them."""
    paths = [root / image for image in images]
    for folder in LIST_FOLDERS:
        splits: dict[str, list[str]] = {}
        absent: list[str] = []
        for split, words in SPLITS.items():
            for listing in (root / folder / f"{word}.txt" for word in words):
                if listing.is_file():
                    lines = read_lines(listing)
                    taken, without = match_lines(lines, paths, listing)
                    splits[split] = [path.relative_to(root).as_posix() for path in taken]
                    absent += without
        if any(splits.values()):
            lost = f"; lines without an image: {len(absent)}, e.g. {absent[0]}" if absent else ""
            return splits, f"lists in {root / folder}{lost}"
    return {}, ""


def _by_folder(images: Sequence[str]) -> dict[str, list[str]]:
    """Sort images by folders that are named after splits, e.g. train or val2017."""
    splits: dict[str, list[str]] = {}
    for image in images:
        folders = {part.lower().rstrip("0123456789") for part in PurePosixPath(image).parts[:-1]}
        for split, words in SPLITS.items():
            if folders & set(words):
                splits.setdefault(split, []).append(image)
    return splits
