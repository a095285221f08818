"""Find the rule by which the path of an image becomes that of its label."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product, takewhile
from pathlib import PurePosixPath
from typing import NamedTuple

from hrda_lit.data.file_tree import same
from hrda_lit.data.folder import spread

FILES = "files"  # the link to the data, with which every path of a dataset begins
LABELS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".npy")
JPEG = (".jpg", ".jpeg")
IMAGE_FOLDER = re.compile(r"(?i).*(image|img|rgb|photo|frame|picture).*")
LABEL_FOLDER = re.compile(
    r"(?i)(.*[-_ ])?(labels?|masks?|ann|annotations?|gt|gtfine|gtcoarse|seg|segmentations?|semantic"
    r"|ground.?truth|segmentationclass\w*|stuffthingmaps|\w+annot|annot)([-_ ].*)?"
)
# Neither images nor labels, though files have the same names there.
OTHER_FOLDER = re.compile(r"(?i).*(instance|panoptic|colou?rmap|depth|disparity|overlay|semantic_rgb).*")
# Words with which names of images and labels begin or end.
IMAGE_WORDS = "images?|imgs?|rgb|photo|frame|leftImg8bit|anon"
LABEL_WORDS = "labels?|masks?|gt|gtFine|(label)?(train)?Ids|seg|segmentation|annotation|semantic|(?-i:L)"
_BEGIN = re.compile(rf"(?i)(?:(?:{IMAGE_WORDS}|{LABEL_WORDS})[-_. ])*")
_END = re.compile(rf"(?i)(?:[-_. ](?:{IMAGE_WORDS}|{LABEL_WORDS}))*$")
_LABEL = re.compile(rf"(?i)(?:^|[-_. ])(?:{LABEL_WORDS})(?=[-_. ]|$)")


@dataclass(frozen=True)
class Rule:
    """Map the path of an image to that of its label."""

    head: tuple[str, str]  # folder and beginning of the name, of image and label, as far as they differ
    tail: tuple[str, str]  # end of the stem, of image and label
    suffix: str  # of labels

    def label_of(self, image: str) -> str | None:
        """Return the path of the label, or None where the rule does not fit."""
        stem = f"/{FILES}/{image}".rpartition(".")[0]
        (old, new), (end, label_end) = self.head, self.tail
        if not stem.endswith(end) or f"/{old}" not in stem:
            return None
        label = stem.removesuffix(end) + label_end + self.suffix
        label = label.replace(f"/{old}", f"/{new}", 1).removeprefix(f"/{FILES}/")
        return None if label == image else label

    def replacements(self, images: Sequence[str]) -> dict[str, str]:
        """Return the `label_rule` of a dataset of these images."""
        (old, new), (end, label_end) = self.head, self.tail
        paths = [f"/{FILES}/{image}" for image in images]
        slash = "/" if "/" not in old or any(path.count(old) > 1 for path in paths) else ""
        ending = end + PurePosixPath(images[0]).suffix
        rule = {slash + old: slash + new}
        if all(path.endswith(ending) and path.count(ending) == 1 for path in paths):
            rule[ending] = label_end + self.suffix
        elif end:
            rule |= {end: label_end, ".*": self.suffix}
        else:
            rule[".*"] = label_end + self.suffix
        return {before: after for before, after in rule.items() if before != after}

    def __str__(self) -> str:
        folder = f"{self.head[0]} -> {self.head[1]}, " if self.head[0] else ""
        return f"{folder}*{self.tail[0]} -> *{self.tail[1]}{self.suffix}"


class Name(NamedTuple):
    """A path below `FILES`: its folders, and its name between words for images or labels."""

    folders: tuple[str, ...]
    begin: str
    core: str
    end: str
    suffix: str

    def says_label(self) -> bool:
        """Return whether a folder or the name has a word for labels."""
        words = _LABEL.search(self.begin) or _LABEL.search(self.end)
        return bool(words) or any(map(LABEL_FOLDER.fullmatch, self.folders))


def take_apart(file: str) -> Name:
    """Take the path of a file apart."""
    path = PurePosixPath(FILES, file)
    begin = _BEGIN.match(path.stem)[0]  # type: ignore[index]
    end = _END.search(path.stem, len(begin) + 1)
    tail = end[0] if end else ""
    core = path.stem[len(begin) : len(path.stem) - len(tail)]
    return Name(path.parts[:-1], begin, core, tail, path.suffix)


def best_rule(names: Mapping[str, Name], role: str, wanted: str | None) -> tuple[Rule | None, dict[str, str]]:
    """Return the rule by which most images have a label, with `wanted` in its path, and these.

    Raises:
        ValueError: if labels fit several rules, or none is as wanted.
    """
    ends = {"", *(name.end for name in names.values())}
    found: list[tuple[Rule, dict[str, str]]] = []
    # Labels in JPEG come last: reading them says why they are refused.
    for suffixes, label_ends in ((LABELS, ends), (LABELS, _unusual_ends(names)), (JPEG, ends)):
        rules = _rules(names, suffixes, ends, label_ends) if not found else ()
        candidates = [(rule, _pairs(rule, names, wanted)) for rule in rules]
        found += [(rule, pairs) for rule, pairs in candidates if pairs]
    if not found and wanted is not None:
        raise ValueError(f"{role}_labels={wanted}: no label has this in its path; correct or remove the key.")
    if not found:
        return None, {}
    found.sort(key=lambda one: (-len(one[1]), len(str(one[0]))))
    best = [(rule, pairs) for rule, pairs in found if len(pairs) == len(found[0][1])]
    _require_one(best, role)
    return best[0]


def _require_one(best: Sequence[tuple[Rule, Mapping[str, str]]], role: str) -> None:
    """Refuse rules that lead to other labels, or from other images."""
    by_labels = {frozenset(pairs.values()): str(rule) for rule, pairs in reversed(best)}
    by_images = {frozenset(pairs): rule.head[0] for rule, pairs in reversed(best)}
    if len(by_labels) > 1:
        raise ValueError(
            f"{role}: labels fit several rules ({', '.join(sorted(by_labels.values()))}); say which are "
            f"meant by a part of their paths, {role}_labels=... ."
        )
    if len(by_images) > 1:
        raise ValueError(
            f"{role}: the same labels fit images of several folders "
            f"({', '.join(sorted(by_images.values()))}); give a folder with one of them beside the labels."
        )


def _rules(names: Mapping[str, Name], suffixes: Sequence[str], ends: set[str], label_ends: set[str]) -> Iterator[Rule]:
    """Yield the rules that these files may follow."""
    kinds = {name.suffix for name in names.values() if name.suffix.lower() in suffixes}
    for head, end, label_end, suffix in product(_heads(names), ends, label_ends, kinds):
        is_marked = "/" in head[0] or _LABEL.search(head[1]) or _LABEL.search(label_end)
        if is_marked or (head == ("", "") and end == label_end and suffix not in JPEG):
            yield Rule(head, (end, label_end), suffix)


def _heads(names: Mapping[str, Name]) -> set[tuple[str, str]]:
    """Find how paths of images begin, and those of their labels, as far as they differ."""
    begins = {"", *(name.begin for name in names.values())}
    heads = {("", "")}
    for (old, new), begin, label_begin in product(_folder_pairs(names), begins, begins):
        if old or (begin and begin != label_begin):
            heads.add((old + begin, new + label_begin))
    return heads


def _folder_pairs(names: Mapping[str, Name]) -> set[tuple[str, str]]:
    """Find what differs between the folders of images and those of labels; ("", "") for one folder."""
    found = {("", "")}
    folders = sorted({name.folders for name in names.values()})
    folders = [parts for parts in folders if not any(map(OTHER_FOLDER.match, parts))]
    labels = [parts for parts in folders if any(map(LABEL_FOLDER.fullmatch, parts))]
    for label in spread(labels, 50):
        pairs = list(filter(None, (_difference(folder, label) for folder in folders)))
        pairs = [pair for pair in pairs if IMAGE_FOLDER.match(pair[0])] or pairs
        least = min(("".join(pair).count("/") for pair in pairs), default=0)
        found.update(pair for pair in pairs if "".join(pair).count("/") == least)
    return found


def _difference(image: tuple[str, ...], label: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the parts that differ, at least one of each; None unless they distinguish labels from images."""
    start = _count_shared(image, label)
    old, new = image[start:], label[start:]
    end = _count_shared(old[::-1], new[::-1])
    old, new = old[: len(old) - end], new[: len(new) - end]
    if any(map(LABEL_FOLDER.fullmatch, old)) or not any(map(LABEL_FOLDER.fullmatch, new)):
        return None
    if not old:
        old, new = image[start - 1 : start], (image[start - 1], *new)
    return "/".join(old) + "/", "/".join(new) + "/"


def _count_shared(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _unusual_ends(names: Mapping[str, Name]) -> set[str]:
    """Find how names in folders of labels end, where images have the same beginnings."""
    labels = [name for name in names.values() if any(map(LABEL_FOLDER.fullmatch, name.folders))]
    ends = set()
    for label, image in product(labels[:3], names.values()):
        stem = label.begin + label.core + label.end
        if image not in labels[:3] and stem.startswith(image.core):
            ends.add(stem.removeprefix(image.core))
    return ends


def _pairs(rule: Rule, names: Mapping[str, Name], wanted: str | None) -> dict[str, str]:
    pairs, there = {}, {same(file): file for file in names}
    for image in [file for file, name in names.items() if not name.says_label()] or names:
        label = there.get(same(rule.label_of(image) or ""))
        if label is not None and (wanted is None or wanted in label):
            pairs[image] = label
    return pairs
