"""Choose the images to learn from, to adapt to and to score."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from hrda_lit.proposal.discover import Found

FEW_LABELS = 20  # of the target: with fewer, an oracle would be scored on too few images
HELD_OUT = 0.2  # share of a fully labelled target that is scored
Lists = dict[str, list[str]]


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
        lists["oracle_train"], lists["oracle_val"], _ = hold_out(val, 0.5)
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
        train, val, why = hold_out(train, HELD_OUT)
        return train, [image for image in val if image in found.labels], f"{found.why}; scored: {why}"
    rest = _without(found.images, labelled)
    if len(rest) >= len(labelled):
        return rest, labelled, "images with labels are scored, the others are adapted to"
    train, val, why = hold_out(found.images, HELD_OUT)
    return train or val, [image for image in val if image in found.labels], f"scored: {why}"


def _without(images: Sequence[str], others: Sequence[str]) -> list[str]:
    out = set(others)
    return [image for image in images if image not in out]


def sequences(images: Sequence[str]) -> dict[str, list[str]]:
    """Group images by video: by folder, or by the name before its last number."""
    folders = {str(PurePosixPath(image).parent) for image in images}
    found: dict[str, list[str]] = {}
    for image in images:
        path = PurePosixPath(image)
        before = re.sub(r"\d+$", "", path.stem)
        found.setdefault(str(path.parent) if len(folders) > 2 else before, []).append(image)
    return found


def hold_out(images: Sequence[str], share: float) -> tuple[list[str], list[str], str]:
    """Set a share of the images apart, in (0, 1), whole sequences where names show some.

    Returns:
        Images that stay, images set apart, and the reason in words.
    """
    groups = sequences(images)
    apart: list[str] = []
    if len(groups) < 3 or max(map(len, groups.values())) > 0.6 * len(images):
        cut = len(images) - max(1, round(share * len(images)))
        return list(images[:cut]), list(images[cut:]), "the last ones, so that neighbours stay together"
    for group in sorted(groups, reverse=True):
        if len(apart) >= share * len(images):
            break
        apart += groups[group]
    out = set(apart)
    stay = [image for image in images if image not in out]
    return stay, sorted(apart), f"whole sequences of the {len(groups)} that names show"
