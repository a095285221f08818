"""Archives for the test servers of Cityscapes, ACDC and Dark Zurich, checked before they are called done."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hrda_lit.config.ranges import Count, Sides
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import CITYSCAPES, Classes, raw_table
from hrda_lit.data.folder import FolderDataset
from hrda_lit.predicting.inputs import Inputs, image_inputs
from hrda_lit.system.files import write_atomically
from hrda_lit.system.paths import require_below, require_plain
from hrda_lit.system.progress import track


@check_arguments
@dataclass(frozen=True)
class Rules:
    """Rules of a server; all three score the 19 classes of Cityscapes.

    Args:
        name: name of the archive.
        split: split of the dataset.
        count: number of test images.
        size: (height, width) of every label in pixels.
        ids: ids in the labels: "train", or a name of `classes.ID_MAPS`.
        file: name of a label, where `{stem}` is that of its image, e.g. "{stem}.png".

    Raises:
        ValueError: if a value does not make sense or ids are unknown.
    """

    name: str
    split: str
    count: Count
    size: Sides
    ids: str
    file: str = "{stem}.png"

    def __post_init__(self) -> None:
        require_plain(self.name, "submission.name")
        require_below(self.file, "submission.file")
        if "{stem}" not in self.file or not self.file.endswith(".png"):
            raise ValueError(f"submission.file={self.file!r} must hold {{stem}} and end in .png; correct it.")
        _ = self.allowed

    @property
    def allowed(self) -> set[int]:
        """Return the ids that labels may hold."""
        table = raw_table(None if self.ids == "train" else self.ids, CITYSCAPES)
        return set(table[: len(CITYSCAPES)].tolist())


def images_to_submit(dataset: FolderDataset, rules: Rules) -> Inputs:
    """List the test images under the names of their labels; reject an incomplete set before hours of work.

    Raises:
        FileNotFoundError: if the dataset is missing.
        ValueError: if number or size of the images are not what the server scores.
    """
    paths = [sample.image for sample in dataset.files(rules.split, labelled=False)]
    if len(paths) != rules.count:
        raise ValueError(
            f"{dataset.root} has {len(paths)} test images, the server of {rules.name} wants {rules.count}; "
            "complete the data, or set submission.count for a trial."
        )
    for path in track(paths, "reading the sizes of test images"):
        size = dataset.read_size(path)
        if size != tuple(rules.size):
            raise ValueError(f"{path} is {size}, the server of {rules.name} wants {tuple(rules.size)}; copy it again.")
    images: dict[str, Path] = {}
    for path in paths:
        name = rules.file.replace("{stem}", path.stem).removesuffix(".png")
        if name in images:
            raise ValueError(
                f"{images[name]} and {path} would have labels of the same name {name}; remove one of them."
            )
        images[name] = path
    return image_inputs({path: name for name, path in images.items()}, dataset.root, dataset.read_pixels)


def check_classes(classes: Classes, rules: Rules) -> None:
    """Refuse a network of other classes than those that the servers score.

    Raises:
        ValueError: if the classes are not the 19 of Cityscapes.
    """
    if classes.names != CITYSCAPES.names:
        raise ValueError(
            f"the network knows {len(classes)} classes, {', '.join(classes.names[:3])} ...; the server of {rules.name} "
            "scores the 19 of Cityscapes; choose a checkpoint of these."
        )


def pack(labels: Mapping[str, Path], target: Path, rules: Rules) -> str:
    """Write a zip file of labels, by their names in it, if the server would take it; return a sentence.

    Raises:
        ValueError: if the server would refuse a label: it is broken, or its size, ids, or number of channels
            are wrong; then nothing is written.
    """
    faults, buffer = list[str](), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        for name, path in track(sorted(labels.items()), "packing labels"):
            content = path.read_bytes()
            faults += [f"{path} {fault}" for fault in _find_faults(content, rules)]
            archive.writestr(zipfile.ZipInfo(name), content)
    if faults:
        raise ValueError(
            f"the archive for {rules.name} would have {len(faults)} faults, the first: {faults[0]}; "
            "delete what is wrong and predict again."
        )
    write_atomically(target, buffer.getvalue())
    return f"{target} holds {len(labels)} labels, checked: names, sizes and ids are as the server wants them."


def _find_faults(content: bytes, rules: Rules) -> list[str]:
    try:
        # Decoding forgives a missing end; verifying reads every checksum.
        Image.open(io.BytesIO(content), formats=["PNG"]).verify()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            mode, values = image.mode, np.array(image)
    except (OSError, SyntaxError) as error:
        return [f"is broken or no PNG ({error})"]
    if mode != "L":
        return [f"has the mode {mode} instead of 8 bits in one channel"]
    faults = []
    if values.shape != tuple(rules.size):
        faults.append(f"is {values.shape} instead of {tuple(rules.size)}")
    strange = sorted(set(np.unique(values).tolist()) - rules.allowed)
    if strange:
        faults.append(f"holds the ids {strange}, which are no {rules.ids} ids")
    return faults
