"""Find the images, labels and splits of a folder as people keep them, and list the images to use."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
FEW_LABELS = 20  # of the target: with fewer, an oracle would be scored on too few images
HELD_OUT = 0.2  # share of a fully labelled target that is scored
LIST_FOLDERS = ("", "ImageSets/Segmentation", "ImageSets/Main", "splits", "lists")

Lists = dict[str, list[str]]


@dataclass(frozen=True)
class Found:
    """Files of a folder, by their paths below it."""

    root: Path
    images: list[str]  # sorted
    labels: dict[str, str]  # of each image that has one
    rule: Rule | None  # from image to label; None without labels
    unused: list[str]  # neither images nor labels by that rule
    splits: Lists  # images of "train", "val" and "test", as lists or folders of the data say
    why: str  # origin of the splits, in words

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

    Where rules leave a choice, `labels` is a part of the path of every label, or "none".

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


def _listed(root: Path, images: Sequence[str]) -> tuple[Lists, str]:
    """Read the lists of splits that lie where people keep them."""
    paths = [root / image for image in images]
    for folder in LIST_FOLDERS:
        splits: Lists = {}
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


def _by_folder(images: Sequence[str]) -> Lists:
    """Sort images by folders that are named after splits, e.g. train or val2017."""
    splits: Lists = {}
    for image in images:
        folders = {part.lower().rstrip("0123456789") for part in PurePosixPath(image).parts[:-1]}
        for split, words in SPLITS.items():
            if folders & set(words):
                splits.setdefault(split, []).append(image)
    return splits


def source_lists(found: Found) -> tuple[Lists, str]:
    """List the images to learn from, those with labels (of the train split, if any), and the reason."""
    train = [image for image in found.splits.get("train", ()) if image in found.labels]
    if train:
        return {"train": train}, found.why
    return {"train": [image for image in found.images if image in found.labels]}, "all that have labels"


def target_lists(found: Found) -> tuple[Lists, str]:
    """List the images to adapt to and to score, halves of the latter for an oracle, and the reason."""
    train, val, why = _train_and_val(found)
    lists = {"train": train} | ({"val": val} if val else {})
    if len(val) >= FEW_LABELS:
        lists["oracle_train"], lists["oracle_val"], _ = _hold_out(val, 0.5)
    return lists, why


def _train_and_val(found: Found) -> tuple[list[str], list[str], str]:
    labelled = [image for image in found.images if image in found.labels]
    train = list(found.splits.get("train", ()))
    val = [image for image in found.splits.get("val", ()) if image in found.labels]
    if val:
        return train or _without(found.images, val), val, found.why
    if train:
        val = _without(labelled, train)
        if val:
            return train, val, found.why
        train, val, why = _hold_out(train, HELD_OUT)
        return train, [image for image in val if image in found.labels], f"{found.why}; scored: {why}"
    rest = _without(found.images, labelled)
    if len(rest) >= len(labelled):
        return rest, labelled, "images with labels are scored, the others are adapted to"
    train, val, why = _hold_out(found.images, HELD_OUT)
    return train or val, [image for image in val if image in found.labels], f"scored: {why}"


def _without(images: Sequence[str], others: Sequence[str]) -> list[str]:
    out = set(others)
    return [image for image in images if image not in out]


def _group_sequences(images: Sequence[str]) -> dict[str, list[str]]:
    """Group images by video: by folder, or by the name before its last number."""
    folders = {str(PurePosixPath(image).parent) for image in images}
    found: dict[str, list[str]] = {}
    for image in images:
        path = PurePosixPath(image)
        before = re.sub(r"\d+$", "", path.stem)
        found.setdefault(str(path.parent) if len(folders) > 2 else before, []).append(image)
    return found


def _hold_out(images: Sequence[str], share: float) -> tuple[list[str], list[str], str]:
    """Set a share of the images apart, whole sequences where names show some.

    Returns:
        Images that stay, images set apart, and the reason in words.
    """
    groups = _group_sequences(images)
    apart: list[str] = []
    if len(groups) < 3 or max(map(len, groups.values())) > 0.6 * len(images):
        cut = len(images) - max(1, round(share * len(images)))
        return list(images[:cut]), list(images[cut:]), "the last ones, so that neighbours stay together"
    for group in sorted(groups, reverse=True):
        if len(apart) >= share * len(images):
            break
        apart += groups[group]
    return _without(images, apart), sorted(apart), f"whole sequences of the {len(groups)} that names show"
