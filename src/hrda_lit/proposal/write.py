"""Write the YAML files of a proposal, with the reason for each number."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hrda_lit.data.classes import classes_from, palette
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.labels import Labels
from hrda_lit.data.layout import Layout
from hrda_lit.proposal.choose import Choice, Plan
from hrda_lit.proposal.class_lists import ClassList
from hrda_lit.proposal.discover import Found
from hrda_lit.proposal.label_space import LabelSpace
from hrda_lit.proposal.measure import LabelReader, Measured
from hrda_lit.proposal.polygons import Polygons
from hrda_lit.proposal.rules import FILES, Rule
from hrda_lit.system.files import write_atomically

DRAWN = Rule((f"{FILES}/", "labels/"), ("", ""), ".png")  # to the labels that `_write_data` draws
UNCHANGED = Choice("null", "")
EXPERIMENTS = {
    "source_only": "The low-resolution network on source labels alone: the baseline without adaptation.",
    "daformer": "DAFormer: adapts the low-resolution network; HRDA adds high resolution to it.",
    "hrda": "HRDA: adapts to the target without its labels.",
    "oracle": "HRDA's network on labels of the target: what adaptation could reach at most.",
}


@dataclass(frozen=True)
class Domain:
    """One of the two folders, as training will use it."""

    name: str  # of the dataset
    found: Found  # its files
    space: LabelSpace  # meaning of its labels
    lists: Mapping[str, Sequence[str]]  # images of each split that is used
    why: str  # reason for the lists
    known: ClassList | None  # classes listed with the labels
    polygons: Polygons | None  # annotations that are drawn into labels; None where labels are images
    size: Choice = UNCHANGED  # box into which images are fitted
    margins: Choice | None = None  # borders without trusted pseudo-labels

    def label_rule(self) -> dict[str, str]:
        """Return how the path of an image, below the folder of the dataset, becomes that of its label."""
        rule = self.found.rule if self.polygons is None else DRAWN
        return rule.replacements(self.found.images) if rule else {}

    def label_reader(self) -> LabelReader:
        """Return a function from an image to the train ids of its label.

        Raises:
            ValueError: if the classes do not make sense.
        """
        space, found, polygons = self.space, self.found, self.polygons
        classes = classes_from({"names": space.names, "things": []})
        if polygons is not None:
            return polygons.draw
        layout = Layout.of({"colour_map": space.colour_map})
        labels = Labels(self.name, classes, space.id_map, layout, FileTree(found.root))
        return lambda image: labels.read(found.root / found.labels[image]).numpy()


@dataclass(frozen=True)
class Proposal:
    """Everything that is written."""

    name: str  # of the setting, with which experiments begin
    source: Domain
    target: Domain
    plan: Plan  # sizes, encoder, schedule
    kinds: list[str]  # experiments, keys of `EXPERIMENTS`
    measured: tuple[Measured, Measured]  # of source and target
    weights: str = "imagenet"  # of the encoder: a file, or "imagenet"

    def summary(self) -> list[str]:
        """Return what was found and chosen, and why, a line each."""
        lines = []
        for domain, seen in zip((self.source, self.target), self.measured, strict=True):
            found = domain.found
            rule = f" by {found.rule}" if found.rule else ""
            unused = f"; unused: {len(found.unused)}, e.g. {found.unused[0]}" if found.unused else ""
            lines.append(
                f"{domain.name}: {len(found.images)} images of {seen.size[0]} x {seen.size[1]} in "
                f"{found.root}, {len(found.labels)} with labels{rule}{unused}"
            )
            used = ", ".join(f"{split} {len(names)}" for split, names in domain.lists.items())
            lines.append(f"  {used}: {domain.why}")
            lines.append(f"  size: {domain.size.value} ({domain.size.why})")
            if domain.margins is not None:
                lines.append(f"  margins: {domain.margins.value} ({domain.margins.why})")
        space = self.source.space
        pairs = zip(space.names, self.measured[0].shares, strict=True)
        shares = ", ".join(f"{name} {100 * share:.3g} %" for name, share in pairs)
        lines.append(f"classes ({space.why}): {shares}")
        things = ", ".join(space.names[index] for index in self.plan.things)
        lines.append(f"things: {things or 'none'} (by usual names, else what is small where it is)")
        lines.append(f"encoder: {self.plan.encoder.name}, weights: {self.weights}")
        lines += [f"{key}: {choice.value} ({choice.why})" for key, choice in self.plan.keys.items()]
        return lines


def write(proposal: Proposal, folder: Path, root: Path) -> None:
    """Write all files into a folder, which will lie at `root` in the end."""
    texts = {f"setting/{proposal.name}": _setting(proposal)}
    for domain in (proposal.source, proposal.target):
        _write_data(folder / "data" / domain.name, domain)
        texts[f"dataset/{domain.name}"] = _dataset(domain, root / "data" / domain.name, proposal.plan.things)
    for kind in proposal.kinds:
        texts[f"experiment/{proposal.name}_{kind}"] = _experiment(proposal, kind)
    for path, lines in texts.items():
        write_atomically(folder / f"{path}.yaml", "".join(f"{line}\n" for line in lines).encode())


def _write_data(folder: Path, domain: Domain) -> None:
    """Make the folder of a dataset: a link to its files, its lists, and labels drawn from polygons."""
    folder.mkdir(parents=True)
    (folder / FILES).symlink_to(domain.found.root.absolute(), target_is_directory=True)
    for split, images in domain.lists.items():
        lines = [f"{FILES}/{image}\n" for image in images]
        write_atomically(folder / f"{split}.txt", "".join(lines).encode())
    if domain.polygons is None:
        return
    for image in domain.found.labels:
        path = (folder / "labels" / image).with_suffix(".png")
        if path.exists():
            raise ValueError(f"{image} and another image differ in their suffix alone; rename one of them.")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(domain.polygons.draw(image)).save(path)


def _dataset(domain: Domain, root: Path, things: Sequence[int]) -> list[str]:
    """Return the lines of a dataset in the folder that `_write_data` made; `things` are ids."""
    space, found = domain.space, domain.found
    ignored = " # other ids are ignored" if isinstance(space.id_map, dict) else ""
    lines = [
        f"# {len(found.images)} images, {len(found.labels)} of them with labels: {found.root}",
        "_target_: hrda_lit.data.folder.FolderDataset",
        f"name: {_quote(domain.name)}",
        f"root: {_quote(str(root))} # {FILES} in it is a link to the data; lists name the images",
        f"images: {_quote(f'{FILES}/{found.pattern()}')}",
        f"label_rule: {_quote(domain.label_rule())} # from the path of an image to that of its label",
        f"classes: # {space.why}",
        f"  names: {_quote(space.names)}",
        f"  colours: {_quote(space.colours or palette(len(space.names)))}",
        f"  things: {_quote([space.names[index] for index in things])} # lambda_fd acts on them",
        "  ignore: 255",
        f"id_map: {space.id_map or 'null'}{ignored}",
        f"size: {domain.size.value} # {domain.size.why}",
        "layout:",
        f'  split_file: "{{split}}.txt" # {domain.why}',
    ]
    if domain.margins is not None:
        lines.append(f"  margins: {domain.margins.value} # {domain.margins.why}")
    if space.colour_map is not None:
        lines.append(f"  colour_map: {_quote(space.colour_map)}")
    return lines


def _setting(proposal: Proposal) -> list[str]:
    """Return the lines of the setting that all experiments share."""
    name, target, encoder = proposal.name, proposal.target, proposal.plan.encoder
    weights = _quote(proposal.weights)
    lines = [
        "# @package _global_",
        f"# Shared by the experiments {name}_...; chosen by hrda_lit.init, each number with its reason.",
        "defaults:",
        f"  - override /dataset@source: {_quote(proposal.source.name)}",
        f"  - override /dataset@target: {_quote(target.name)}",
        f"  - override /dataset@val: {_quote(target.name) if 'val' in target.lists else 'null'}",
        "network:",
        f"  backbone: {{ name: {encoder.name}, weights: {weights} }} # imagenet: timm downloads them",
    ]
    if encoder.head:
        lines.append(f"  head: {encoder.head} # narrow, for speed")
    groups: dict[str, list[str]] = {}
    for key, choice in proposal.plan.keys.items():
        group, _, last = key.rpartition(".")
        groups.setdefault(group, []).append(f"{last}: {choice.value} # {choice.why}")
    lines += groups.pop("")
    for group, items in groups.items():
        lines += [f"{group}:", *(f"  {item}" for item in items)]
    return lines


def _experiment(proposal: Proposal, kind: str) -> list[str]:
    """Return the lines of an experiment, one of `EXPERIMENTS`."""
    is_supervised, is_small = kind in ("source_only", "oracle"), kind in ("source_only", "daformer")
    name, encoder = proposal.name, proposal.plan.encoder
    lines = ["# @package _global_", f"# {EXPERIMENTS[kind]}", "defaults:", f"  - /setting: {_quote(name)}"]
    if is_small:
        lines.append("  - override /network: daformer")
    if kind == "oracle":
        lines.append(f"  - override /dataset@source: {_quote(proposal.target.name)}")
    if is_supervised:
        lines.append("  - override /method: supervised")
    lines.append(f"name: {name}_{kind}")
    if kind == "oracle":
        lines.append("splits: { source: oracle_train, val: oracle_val } # halves of the labelled images")
    if is_supervised:
        lines += ["validate: student # supervised training has no teacher", "data: { rare_class: null }"]
    elif encoder.batch_norm:
        why = "has BatchNorm; the teacher's statistics are of the target alone"
        lines.append(f"validate: teacher # {encoder.name} {why}")
    if not is_small and encoder.attention is not None:
        lines.append(f"network: {{ attention: {{ channels: {encoder.attention} }} }} # narrow, for speed")
    return lines


def _quote(value: Any) -> str:
    """Write texts, lists and mappings for YAML: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)
