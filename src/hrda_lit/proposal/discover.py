"""Find the images, labels and splits of a folder as people keep them."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path, PurePosixPath

from hrda_lit.data.split_lists import match_lines, read_lines

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
LABELS = (".png", ".bmp", ".tif", ".tiff")
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "rgb", "frames", "photos", "JPEGImages", "leftImg8bit", "rgb_anon")
LABEL_FOLDERS = (
    "labels", "label", "masks", "mask", "annotations", "annotation", "annot", "gt", "gtFine", "seg", "segmentation",
    "semantic", "SegmentationClass", "SegmentationClassPNG",
)  # fmt: skip
IMAGE_MARKS = ("", "_leftImg8bit", "_rgb_anon", "_rgb", "_image")
LABEL_MARKS = (
    "", "_gtFine_labelIds", "_gtFine_labelTrainIds", "_gt_labelIds", "_gt_labelTrainIds", "_labelIds", "_labelTrainIds",
    "_mask", "_masks", "_label", "_labels", "_seg", "_gt", "_annotation", "_L", "-mask", "-label",
)  # fmt: skip
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
LIST_FOLDERS = ("", "ImageSets/Segmentation", "ImageSets/Main", "splits", "lists")


@dataclass(frozen=True)
class Rule:
    """How the path of an image becomes that of its label.

    Args:
        folder: (folder of images, folder of labels), or None for one folder.
        ending: (end of an image's name, end of its label's name).
    """

    folder: tuple[str, str] | None
    ending: tuple[str, str]

    def label_of(self, image: str) -> str | None:
        """Return the path of the label, or None where the rule does not fit."""
        if not image.endswith(self.ending[0]):
            return None
        label = image.removesuffix(self.ending[0]) + self.ending[1]
        if self.folder:
            old, new = self.folder
            if f"/{old}/" not in f"/{label}":
                return None
            label = f"/{label}".replace(f"/{old}/", f"/{new}/", 1)[1:]
        return None if label == image else label

    def replacements(self) -> dict[str, str]:
        """Return the `label_rule` of a data set."""
        rule = {f"{self.folder[0]}/": f"{self.folder[1]}/"} if self.folder else {}
        return rule | ({self.ending[0]: self.ending[1]} if self.ending[0] != self.ending[1] else {})

    def __str__(self) -> str:
        return ", ".join(f"{old} -> {new}" for old, new in self.replacements().items())


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Args:
        root: the folder.
        images: paths below root, `/` between folders, sorted.
        labels: path of the label of each image that has one.
        rule: rule from image to label; None without labels.
        splits: images of "train", "val" and "test", as lists or folders of the data say; empty if nothing says so.
        why: origin of the splits, in words.
    """

    root: Path
    images: list[str]
    labels: dict[str, str]
    rule: Rule | None
    splits: dict[str, list[str]] = field(default_factory=dict)
    why: str = ""

    def pattern(self) -> str:
        """Return a glob below root that fits the images."""
        return common_pattern(self.images)


def discover(root: Path, role: str, labels: str | None = None) -> Found:
    """Find images, labels and splits; labels may be missing.

    Args:
        root: folder of the data.
        role: source or target, for the keys that errors name.
        labels: part of the path of every label, where the rules leave a choice; None where no choice is expected.

    Raises:
        FileNotFoundError: if there is no folder, or no image in it.
        ValueError: if labels fit several rules.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{role}={root} is no folder; give one that holds images.")
    files = sorted(walk(root))
    there = set(files)
    rule, pairs = _best_rule(files, there, role, labels)
    images = _images(files, set(pairs.values()), rule)
    if not images:
        raise FileNotFoundError(
            f"{role}={root} has no image ({', '.join(IMAGES)}) below it; give another folder, or unpack its archives."
        )
    lists = sorted(name for name in walk(root, (".txt",)))
    splits, why = _listed(root, lists, images)
    if not splits:
        splits, why = _by_folder(images), "folders of the data are named so"
    return Found(root, images, {image: pairs[image] for image in images if image in pairs}, rule, splits, why)


def walk(root: Path, endings: Sequence[str] = IMAGES) -> Iterator[str]:
    """Yield the paths of files below a folder; linked folders are followed, each once; hidden ones are not."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders[:] = []
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.lower().endswith(tuple(endings)) and not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix()


def _best_rule(
    files: Sequence[str], there: set[str], role: str, wanted: str | None
) -> tuple[Rule | None, dict[str, str]]:
    """Return the rule by which most images have a label, and these."""
    found = [(rule, pairs) for rule in _rules(files) if (pairs := _pairs(rule, files, there, wanted))]
    if not found:
        if wanted is not None:
            raise ValueError(f"{role}_labels={wanted}: no label has this in its path; correct or remove the key.")
        return None, {}
    most = max(len(pairs) for _, pairs in found)
    best = [(rule, pairs) for rule, pairs in found if len(pairs) == most]
    if len({tuple(sorted(pairs.values())) for _, pairs in best}) > 1:
        choices = ", ".join(sorted({rule.ending[1] if rule.folder is None else str(rule) for rule, _ in best}))
        raise ValueError(
            f"{role}: labels fit several rules ({choices}); say which are meant by a part of their paths, "
            f"{role}_labels=... ."
        )
    return min(best, key=lambda one: len(str(one[0])))


def _rules(files: Sequence[str]) -> Iterator[Rule]:
    """Yield the rules that these files may follow."""
    parts = {part for name in files for part in _folders(name)}
    kinds = {(PurePosixPath(name).suffix, _mark(name, LABEL_MARKS), _mark(name, IMAGE_MARKS)) for name in files}
    images = {(mark, suffix) for suffix, _, mark in kinds}
    labels = {(mark, suffix) for suffix, mark, _ in kinds if suffix.lower() in LABELS}
    folders: list[tuple[str, str] | None] = [None]
    folders += [pair for pair in product(IMAGE_FOLDERS, LABEL_FOLDERS) if parts.issuperset(pair)]
    folders += [(part, f"{part}{end}") for part in parts for end in ("annot", "_labels", "_masks", "_gt")
                if f"{part}{end}" in parts]  # fmt: skip
    for folder, image, label in product(
        folders, images | {("", suffix) for _, suffix in images}, labels | {("", ".png")}
    ):
        yield Rule(folder, ("".join(image), "".join(label)))


def _mark(name: str, marks: Iterable[str]) -> str:
    stem = PurePosixPath(name).stem
    return max((mark for mark in marks if stem.endswith(mark)), key=len)


def _pairs(rule: Rule, files: Sequence[str], there: set[str], wanted: str | None) -> dict[str, str]:
    pairs = {image: label for image in files if (label := rule.label_of(image)) in there and label is not None}
    # What is itself a label of this rule is no image: a_mask.png, whose label would be a_mask_mask.png.
    return {image: label for image, label in pairs.items() if wanted is None or wanted in label}


def _images(files: Sequence[str], labels: set[str], rule: Rule | None) -> list[str]:
    """List what is an image and no label."""
    others = {rule.folder[1]} if rule and rule.folder else set(LABEL_FOLDERS)
    images = [name for name in files if name not in labels and not _is_named_as_label(name, others)]
    if rule is None:
        return [name for name in images if _folders(name) & set(IMAGE_FOLDERS)] or images
    folders = {rule.folder[0]} if rule.folder else set[str]()
    return [name for name in images if name.endswith(rule.ending[0]) and folders <= _folders(name)]


def _is_named_as_label(name: str, folders: set[str]) -> bool:
    marks = tuple(mark for mark in LABEL_MARKS if len(mark) > 2)
    return not folders.isdisjoint(_folders(name)) or PurePosixPath(name).stem.endswith(marks)


def _folders(name: str) -> set[str]:
    return set(PurePosixPath(name).parts[:-1])


def _listed(root: Path, lists: Sequence[str], images: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Read the lists of splits that lie where people keep them."""
    paths = {root / image: image for image in images}
    for folder in LIST_FOLDERS:
        splits: dict[str, list[str]] = {}
        for split, words in SPLITS.items():
            for name in (f"{folder}/{word}.txt".lstrip("/") for word in words):
                if name in lists:
                    taken, _ = match_lines(read_lines(root / name), list(paths), root / name)
                    splits[split] = [paths[path] for path in taken]
        if any(splits.values()):
            return {split: names for split, names in splits.items() if names}, f"lists in {root / folder}"
    return {}, ""


def _by_folder(images: Sequence[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for image in images:
        folders = {part.lower() for part in _folders(image)}
        for split, words in SPLITS.items():
            if folders & set(words):
                splits.setdefault(split, []).append(image)
    return splits


def common_pattern(images: Sequence[str]) -> str:
    """Return a glob that fits paths of one depth, part by part, or all below the folders they share."""
    ending = _shared_ending([PurePosixPath(image).name for image in images])
    parts = [PurePosixPath(image).parts[:-1] for image in images]
    depth = {len(part) for part in parts}
    if len(depth) == 1:
        folders = ["*" if len(set(column)) > 1 else column[0] for column in zip(*parts, strict=True)]
    else:
        shared = os.path.commonpath(["/".join(part) or "." for part in parts])
        folders = [part for part in shared.split("/") if part not in ("", ".")] + ["**"]
    return "/".join([*(re.sub(r"([\[\]?])", r"[\1]", folder) for folder in folders), f"*{ending}"])


def _shared_ending(names: Sequence[str]) -> str:
    """Return what all names end with: a mark that is known, and the suffix."""
    suffixes = {PurePosixPath(name).suffix for name in names}
    if len(suffixes) > 1:
        return ""
    marks = {_mark(name, IMAGE_MARKS) for name in names}
    return (marks.pop() if len(marks) == 1 else "") + suffixes.pop()
