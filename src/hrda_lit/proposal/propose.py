"""Make a proposal of two folders: find, measure, choose, write."""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from hrda_lit.data.folder import FolderDataset
from hrda_lit.proposal.choose import Choice, Plan, choose
from hrda_lit.proposal.class_lists import read_class_list
from hrda_lit.proposal.discover import discover
from hrda_lit.proposal.label_space import LabelSpace, label_space, read_values, same_classes
from hrda_lit.proposal.measure import Measured, measure
from hrda_lit.proposal.polygons import IGNORE, Polygons, find_polygons
from hrda_lit.proposal.splits import source_lists, target_lists
from hrda_lit.proposal.write import FILES, Domain, dataset_yaml, experiment_yaml, setting_yaml, write_domain
from hrda_lit.system.files import write_atomically
from hrda_lit.system.paths import require_plain

COVERED = 0.9  # of an image: polygons that cover more leave nothing that is a class of its own


@dataclass(frozen=True)
class Proposal:
    """What is written.

    Args:
        name: name of the setting; experiments begin with it.
        source: the labelled domain.
        target: the other.
        plan: sizes, encoder, schedule.
        kinds: experiments.
        measured: measurements of source and target.
        weights: weights of the encoder: a file, or "imagenet".
    """

    name: str
    source: Domain
    target: Domain
    plan: Plan
    kinds: list[str]
    measured: tuple[Measured, Measured]
    weights: str = "imagenet"

    def summary(self) -> list[str]:
        """Return what was found and chosen, and why, a line each."""
        lines = []
        for domain, seen in zip((self.source, self.target), self.measured, strict=True):
            found = domain.found
            rule = f" by {found.rule}" if found.rule else ""
            lines.append(
                f"{domain.name}: {len(found.images)} images of {seen.size[0]} x {seen.size[1]} in {found.root}, "
                f"{len(found.labels)} with labels{rule}"
            )
            used = ", ".join(f"{split} {len(names)}" for split, names in domain.lists.items())
            lines.append(f"  {used}: {domain.why}")
            lines.append(f"  size: {domain.size.value} ({domain.size.why})")
            if domain.margins is not None:
                lines.append(f"  margins: {domain.margins.value} ({domain.margins.why})")
        space = self.source.space
        shares = ", ".join(
            f"{name} {100 * share:.2g} %" for name, share in zip(space.names, self.measured[0].shares, strict=True)
        )
        lines.append(f"classes ({space.why}): {shares}")
        things = ", ".join(space.names[index] for index in self.plan.things)
        lines.append(f"things: {things or 'none'} (by usual names, else what is small where it is)")
        lines.append(f"encoder: {self.plan.encoder.name}, weights: {self.weights}")
        lines += [f"{key}: {choice.value} ({choice.why})" for key, choice in self.plan.keys.items()]
        return lines


def propose(keys: Mapping[str, Any]) -> Proposal:
    """Find, measure and choose, as the keys of conf/init.yaml say.

    Raises:
        ValueError: if something is ambiguous; the error names the key that answers it.
        FileNotFoundError: if images or labels are missing.
    """
    for role in ("source", "target"):
        if keys[role] is None:
            raise ValueError(f"there is no {role}; give {role}=FOLDER.")
    source = _domain(keys, "source")
    if not source.found.labels:
        raise FileNotFoundError(
            f"source={keys['source']} has {len(source.found.images)} images and no label that belongs to one; put "
            "labels into labels/ beside images/, or beside the images as name_mask.png, or give source_labels=... ."
        )
    target = _domain(keys, "target", source)
    if target.name == source.name:
        target = replace(target, name=f"{target.name}_target")
    measured = _measure(source, "train"), _measure(target, "train", "val")
    memory = _memory(keys["device"])
    plan = choose(*measured, source.space.names, memory, os.cpu_count() or 1, keys["steps"])
    if not plan.things:
        plan = replace(plan, keys={**plan.keys, "lambda_fd": Choice("0", "no class is a thing, on which it acts")})
    name = keys["name"] or target.name
    require_plain(name, "name")
    kinds = ["source_only", "hrda"] + (["oracle"] if "oracle_train" in target.lists else [])
    source = replace(source, size=plan.source_size)
    target = replace(target, size=plan.target_size, margins=plan.margins)
    weights = "imagenet" if keys["weights"] is None else str(Path(keys["weights"]).expanduser().absolute())
    return Proposal(name, source, target, plan, kinds, measured, weights)


def write(proposal: Proposal, folder: Path, root: Path) -> None:
    """Write all files into a folder, which will lie at `root` in the end."""
    name, source, target = proposal.name, proposal.source, proposal.target
    for domain in (source, target):
        write_domain(folder / "data" / domain.name, domain)
    texts = {
        f"dataset/{domain.name}.yaml": dataset_yaml(domain, root / "data" / domain.name, proposal.plan.things)
        for domain in (source, target)
    }
    sets, scored = (source.name, target.name), "val" in target.lists
    texts[f"setting/{name}.yaml"] = setting_yaml(name, proposal.weights, sets, scored, proposal.plan)
    for kind in proposal.kinds:
        text = experiment_yaml(name, kind, source.name, target.name, proposal.plan)
        texts[f"experiment/{name}_{kind}.yaml"] = text
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / path, text.encode())


def _domain(keys: Mapping[str, Any], role: str, source: Domain | None = None) -> Domain:
    root = Path(keys[role]).expanduser()
    found = discover(root, role, keys[f"{role}_labels"])
    known = read_class_list(root) or (source.known if source else None)
    polygons, background = None if found.labels else find_polygons(root), IGNORE
    space = source.space if source else LabelSpace([], None, "no labels")
    if polygons is not None:
        there = set(found.images)
        found = replace(found, labels={image: image for image in polygons.regions if image in there})
        polygons, background = _with_background(polygons, keys["background"], role)
        space = LabelSpace(polygons.names, None, f"polygons of {polygons.origin}")
    elif found.rule is not None:
        values = read_values([root / label for label in found.labels.values()])
        space = label_space(values, known, role, found.rule.ending[1], keys["classes"])
    if source is not None:
        space = same_classes(source.space, space)
    lists, why = target_lists(found) if source is not None else source_lists(found)
    return Domain(_name(root), found, space, lists, polygons, background, Choice("null", ""), None, why, known)


def _name(root: Path) -> str:
    """Return the name of a folder as a name of a data set: letters, digits, _ and -, and none of the library's own."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", root.resolve().name).strip("_") or "mine"
    return f"my_{name}" if files("hrda_lit.conf").joinpath("dataset", f"{name}.yaml").is_file() else name


def _with_background(polygons: Polygons, said: str | None, role: str) -> tuple[Polygons, int]:
    """Decide what pixels in no polygon are."""
    if said is None:
        some = [image for image, regions in polygons.regions.items() if regions][:16]
        outside = sum(int((polygons.draw(image, IGNORE) == IGNORE).sum()) for image in some)
        pixels = sum(height * width for height, width in (polygons.sizes[image] for image in some))
        if outside > (1 - COVERED) * pixels:
            raise ValueError(
                f"{role}: {100 * outside / pixels:.0f} % of the pixels lie in no polygon; say what they are, "
                "background=class (one more class) or background=ignore."
            )
    if said != "class":
        return polygons, IGNORE
    return replace(polygons, names=[*polygons.names, "background"]), len(polygons.names)


def _measure(domain: Domain, *splits: str) -> Measured:
    """Measure the images of some splits, with labels drawn where they are polygons."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / domain.name
        write_domain(root, domain)
        space = domain.space
        layout: dict[str, Any] = {"split_file": "{split}.txt"}
        if colours := space.list_colours():
            layout["colour_map"] = colours
        dataset = FolderDataset(
            domain.name, str(root), f"{FILES}/{domain.found.pattern()}", domain.label_rule(),
            {"names": space.names, "things": []}, space.id_map, None, layout,
        )  # fmt: skip
        samples = []
        for split in splits:
            if images := domain.lists.get(split):
                samples += dataset.files(split, labelled=all(image in domain.found.labels for image in images))
        return measure(dataset, samples)


def _memory(device: str) -> float:
    if device == "cpu" or not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.get_device_properties(0).total_memory)
