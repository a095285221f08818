"""Write the YAML files of a proposal, with the reason of each number beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hrda_lit.data.classes import palette
from hrda_lit.proposal.choose import Choice, Plan
from hrda_lit.proposal.class_lists import ClassList
from hrda_lit.proposal.discover import Found
from hrda_lit.proposal.label_space import LabelSpace
from hrda_lit.proposal.polygons import Polygons
from hrda_lit.system.files import write_atomically

FILES = "files"  # the link to the data


@dataclass(frozen=True)
class Domain:
    """One of the two folders, as it will be used.

    Args:
        name: name of the data set.
        found: its files.
        space: meaning of its labels.
        lists: images of each split that is used.
        polygons: annotations that are drawn into labels; None where labels are images.
        background: id of pixels in no polygon.
        size: box into which images are fitted.
        margins: borders without pseudo-labels; None without any.
        why: reason for the lists, in words.
        known: the list of classes beside the labels; None without one.
    """

    name: str
    found: Found
    space: LabelSpace
    lists: Mapping[str, Sequence[str]]
    polygons: Polygons | None
    background: int
    size: Choice
    margins: Choice | None
    why: str
    known: ClassList | None = None

    def label_rule(self) -> dict[str, str]:
        """Return how the path of an image, below the data set's folder, becomes that of its label."""
        if self.polygons is not None:
            suffixes = sorted({Path(image).suffix for image in self.found.images})
            return {f"{FILES}/": "labels/"} | {suffix: ".png" for suffix in suffixes[:1] if suffix != ".png"}
        return self.found.rule.replacements() if self.found.rule else {}


def write_domain(folder: Path, domain: Domain) -> None:
    """Make the folder of a data set: a link to its files, its lists, and labels drawn from polygons."""
    folder.mkdir(parents=True)
    (folder / FILES).symlink_to(domain.found.root.absolute(), target_is_directory=True)
    for split, images in domain.lists.items():
        lines = [f"{FILES}/{image}" for image in images]
        write_atomically(folder / f"{split}.txt", ("\n".join(lines) + "\n").encode())
    if domain.polygons is not None:
        for image in domain.found.labels:
            path = (folder / "labels" / image).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(domain.polygons.draw(image, domain.background)).save(path)


def dataset_yaml(domain: Domain, root: Path, things: Sequence[int]) -> str:
    """Return the YAML of a data set in the folder that `write_domain` made; `things` are ids."""
    space = domain.space
    colours = space.colours or palette(len(space.names))
    lines = [
        f"# {len(domain.found.images)} images, {len(domain.found.labels)} of them with labels: {domain.found.root}",
        "_target_: hrda_lit.data.folder.FolderDataset",
        f"name: {_text(domain.name)}",
        f"root: {_text(str(root))} # {FILES} in it is a link to the data; the lists say which images are used",
        f"images: {_text(f'{FILES}/{domain.found.pattern()}')}",
        f"label_rule: {_flow(domain.label_rule())} # from the path of an image to that of its label",
        f"classes: # {space.why}",
        f"  names: [{', '.join(map(_text, space.names))}]",
        f"  colours: {json.dumps([list(colour) for colour in colours])}",
        f"  things: [{', '.join(_text(space.names[index]) for index in things)}] # lambda_fd acts on them",
        "  ignore: 255",
        f"id_map: {_id_map(space)}",
        f"size: {domain.size.value} # {domain.size.why}",
        "layout:",
        f'  split_file: "{{split}}.txt" # {domain.why}',
    ]
    if domain.margins is not None:
        lines.append(f"  margins: {domain.margins.value} # {domain.margins.why}")
    if colour_map := space.list_colours():
        lines.append(f"  colour_map: {json.dumps(colour_map)}")
    return "\n".join(lines) + "\n"


def setting_yaml(name: str, weights: str, sets: tuple[str, str], scored: bool, plan: Plan) -> str:
    """Return the YAML of what all experiments share.

    Args:
        name: name of the setting.
        weights: weights of the encoder: a file, or "imagenet".
        sets: names of source and target.
        scored: whether the target has a validation split.
        plan: all else.
    """
    source, target = sets
    encoder = plan.encoder
    lines = [
        "# @package _global_",
        f"# What the experiments {name}_... share, as hrda_lit.init chose it; the reason of a number stands beside it.",
        "defaults:",
        f"  - override /dataset@source: {source}",
        f"  - override /dataset@target: {target}",
        f"  - override /dataset@val: {target if scored else 'null'}",
        "network:",
        f"  backbone: {{ name: {encoder.name}, weights: {_text(weights)} }} # imagenet: timm downloads them",
    ]
    if encoder.head:
        lines.append(f"  head: {encoder.head} # narrow, for speed")
    groups: dict[str, list[str]] = {}
    for key, choice in plan.keys.items():
        group, _, last = key.partition(".")
        line = f"{last or group}: {choice.value} # {choice.why}"
        groups.setdefault(group if last else "", []).append(line)
    lines += groups.pop("", [])
    for group, items in groups.items():
        lines += [f"{group}:", *(f"  {item}" for item in items)]
    return "\n".join(lines) + "\n"


def experiment_yaml(name: str, kind: str, source: str, target: str, plan: Plan) -> str:
    """Return the YAML of an experiment: "source_only", "hrda" or "oracle"."""
    heads = {
        "source_only": "The low-resolution network on source labels alone: what you have without adaptation.",
        "hrda": "HRDA: adapts to the target without its labels.",
        "oracle": "HRDA's network on labels of the target: what adaptation could reach at most.",
    }
    lines = [
        "# @package _global_",
        f"# {heads[kind]}",
        "defaults:",
        f"  - /setting: {name}",
    ]
    if kind == "source_only":
        lines += ["  - override /network: daformer", "  - override /inference: whole"]
    if kind == "oracle":
        lines.append(f"  - override /dataset@source: {target}")
    if kind != "hrda":
        lines.append("  - override /method: supervised")
    lines.append(f"name: {name}_{kind}")
    if kind == "oracle":
        lines.append("splits: { source: oracle_train, val: oracle_val } # halves of what has labels")
    if kind != "hrda":
        lines += ["validate: student # labels alone: there is no teacher", "data: { rare_class: null }"]
    elif plan.encoder.batch_norm:
        lines.append(
            f"validate: teacher # {plan.encoder.name} is full of BatchNorm, and the teacher's knows the target alone"
        )
    if kind != "source_only" and plan.encoder.attention is not None:
        lines.append(f"network: {{ attention: {{ channels: {plan.encoder.attention} }} }} # narrow, for speed")
    return "\n".join(lines) + "\n"


def _id_map(space: LabelSpace) -> str:
    if isinstance(space.id_map, dict):
        return "{ " + ", ".join(f"{raw}: {train}" for raw, train in space.id_map.items()) + " } # other ids are ignored"
    return f"{space.id_map or 'null'}"


def _text(text: str) -> str:
    """Quote a text for YAML; JSON's quotes are YAML's."""
    return text if text.isidentifier() and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def _flow(mapping: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in mapping.items()) + " }"
