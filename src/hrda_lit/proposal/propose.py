"""Make a proposal of two folders: find, measure, choose, write."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrda_lit.proposal.choose import choose
from hrda_lit.proposal.class_lists import find_class_list
from hrda_lit.proposal.discover import discover, source_lists, target_lists
from hrda_lit.proposal.label_space import (
    IGNORE,
    LabelSpace,
    is_cityscapes,
    label_space,
    read_values,
    same_classes,
)
from hrda_lit.proposal.measure import Measured, measure
from hrda_lit.proposal.polygons import Polygons, find_polygons, find_unread
from hrda_lit.proposal.rules import LABEL_FOLDER
from hrda_lit.proposal.write import Domain, Proposal
from hrda_lit.system.process import choose_device

COVERED = 0.9  # share of an image: where polygons cover more, the rest is ignored without a question


def propose(keys: Mapping[str, Any]) -> Proposal:
    """Find, measure and choose, as the keys of conf/init.yaml say.

    Raises:
        ValueError: if something is ambiguous; the error names the key that answers it.
        FileNotFoundError: if images or labels are missing.
    """
    _check_keys(keys)
    device = choose_device(keys["device"])
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    source = _domain(keys, "source")
    target = _domain(keys, "target", source)
    if target.name == source.name:
        target = replace(target, name=f"{target.name}_target")
    measured = _measure(source, labelled=True), _measure(target, labelled=False)
    plan = choose(*measured, source.space.names, len(target.lists.get("val", ())), memory, keys["steps"])
    kinds = ["source_only", "daformer", "hrda"] + (["oracle"] if "oracle_train" in target.lists else [])
    source = replace(source, size=plan.source_size)
    target = replace(target, size=plan.target_size, margins=plan.margins)
    weights = "imagenet" if keys["weights"] is None else str(_path(keys["weights"]))
    return Proposal(keys["name"] or target.name, source, target, plan, kinds, measured, weights)


def _check_keys(keys: Mapping[str, Any]) -> None:
    """Refuse keys that the data cannot answer for."""
    for role in ("source", "target"):
        if keys[role] is None:
            raise ValueError(f"missing key {role}; give {role}=FOLDER.")
        if _path(keys["out"]).resolve().is_relative_to(_path(keys[role]).resolve()):
            raise ValueError(f"out={keys['out']} lies in {role}={keys[role]}; give one outside the data.")
    source, target = (_path(keys[role]).resolve() for role in ("source", "target"))
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise ValueError(
            f"source={keys['source']} and target={keys['target']} hold the same images; give two folders "
            "of which none lies in the other."
        )
    if keys["name"] is not None and not re.fullmatch(r"[A-Za-z0-9_.-]+", keys["name"]):
        raise ValueError(f"name={keys['name']}: expected letters, digits, _, . and -; correct name.")
    if keys["weights"] is not None and not _path(keys["weights"]).is_file():
        raise FileNotFoundError(
            f"weights={keys['weights']} does not exist; correct the path, or remove it for timm's download."
        )


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _domain(keys: Mapping[str, Any], role: str, source: Domain | None = None) -> Domain:
    root = Path(keys[role]).expanduser()
    found = discover(root, role, keys[f"{role}_labels"])
    known = find_class_list(root)
    polygons = None if found.labels else find_polygons(root, found.images, role)
    if polygons is not None:
        found = replace(found, labels={image: image for image in polygons.regions})
        polygons = _with_background(polygons, keys["background"], role)
        space = LabelSpace(polygons.names, None, f"polygons of {polygons.origin}")
    elif found.rule is not None:
        end = found.rule.tail[1]
        # Files named as those of Cityscapes have its ids, whatever names the source has.
        shared = None if source is None or is_cityscapes(end) else source.known
        values = read_values([root / label for label in found.labels.values()])
        space = label_space(values, known or shared, role, end, keys["classes"])
    elif source is not None:
        space = source.space
    else:
        raise FileNotFoundError(
            f"source={keys['source']} has {len(found.images)} images but no label for any of them; put "
            "labels into labels/ beside images/, or beside the images as name_mask.png, or give "
            f"source_labels=...{find_unread(root, found.images)}{_labels_beside(root)}."
        )
    if source is None:
        lists, why = source_lists(found)
    else:
        lists, why = target_lists(found)
        space = same_classes(source.space, space)
        why += "" if found.labels else _labels_beside(root)
    return Domain(_name(root), found, space, lists, why, known, polygons)


def _labels_beside(root: Path) -> str:
    """Name a folder of labels next to one that holds only images, as a part of a sentence."""
    parent = root.absolute().parent
    found = [path.name for path in sorted(parent.iterdir()) if LABEL_FOLDER.fullmatch(path.name)]
    return f"; {found[0]} lies beside it: give the folder of both, {parent}" if found else ""


def _name(root: Path) -> str:
    """Make a dataset's name from a folder's: letters, digits, _ and -, other than the library's own."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(os.path.abspath(root)).name).strip("_") or "mine"
    return f"my_{name}" if files("hrda_lit.conf").joinpath("dataset", f"{name}.yaml").is_file() else name


def _with_background(polygons: Polygons, said: str | None, role: str) -> Polygons:
    """Decide the class of pixels outside all polygons."""
    if said is None:
        some = [image for image, regions in polygons.regions.items() if regions][:16]
        labels = [polygons.draw(image).ravel() for image in some]
        outside = float((np.concatenate(labels) == IGNORE).mean())
        if outside > 1 - COVERED:
            raise ValueError(
                f"{role}: {100 * outside:.0f} % of the pixels lie in no polygon; say what they are, "
                "background=class (one more class) or background=ignore."
            )
    if said != "class":
        return polygons
    return replace(polygons, names=[*polygons.names, "background"], background=len(polygons.names))


def _measure(domain: Domain, labelled: bool) -> Measured:
    """Measure the images that are used, and the labels if they are learned from."""
    found = domain.found
    used = [*domain.lists["train"], *domain.lists.get("val", ())]
    read_label = domain.label_reader()
    return measure(
        [found.root / image for image in used], used if labelled else [], read_label, len(domain.space.names)
    )
