"""Archives for the test servers of Cityscapes, ACDC and Dark Zurich, checked before they are called done."""

import io
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from hrda_lit.config.ranges import Count, Sides
from hrda_lit.config.values import check_arguments
from hrda_lit.data.classes import CITYSCAPES, Classes, raw_table
from hrda_lit.data.folder import FolderDataset
from hrda_lit.predicting.inputs import Inputs, image_inputs
from hrda_lit.system.files import write_atomically
from hrda_lit.system.paths import require_below, require_plain
from hrda_lit.system.progress import counted


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
        FileNotFoundError: if the data set is missing.
        ValueError: if number or size of the images are not what the server scores.
    """
    paths = [sample.image for sample in dataset.files(rules.split, labelled=False)]
    if len(paths) != rules.count:
        raise ValueError(
            f"{dataset.root} has {len(paths)} test images, the server of {rules.name} wants {rules.count}; "
            "complete the data, or set submission.count for a trial."
        )
    for path in counted(paths, "reading the sizes of test images"):
        if (size := dataset.read_size(path)) != tuple(rules.size):
            raise ValueError(f"{path} is {size}, the server of {rules.name} wants {tuple(rules.size)}; copy it again.")
    names = {path: rules.file.replace("{stem}", path.stem).removesuffix(".png") for path in paths}
    return image_inputs(names, dataset.root, dataset.read_pixels)


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


def pack(labels: Mapping[str, Path], target: Path, rules: Rules) -> None:
    """Write a zip file of labels, by their names in it, if the server would take it.

    Raises:
        ValueError: if the server would refuse it, see `check_archive`; then nothing is written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        for name, path in counted(sorted(labels.items()), "packing labels"):
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    check_archive(buffer, rules, labels.keys())
    write_atomically(target, buffer.getvalue())


def check_archive(archive: Path | BinaryIO, rules: Rules, names: Collection[str]) -> None:
    """Reject an archive of labels with these names that the server would refuse or score wrongly.

    Raises:
        ValueError: if it is no zip file; a label is missing, unknown, twice there, or broken; or its size,
            ids, or number of channels are wrong.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            found = opened.namelist()
            faults = _wrong_names(found, names, rules)
            for name in counted(sorted(set(found) & set(names)), "checking the archive"):
                faults += [f"{name} {fault}" for fault in _wrong_label(opened.read(name), rules)]
    except zipfile.BadZipFile as error:
        raise ValueError(f"the archive for {rules.name} is no zip file or broken ({error}); make it again.") from error
    if faults:
        raise ValueError(
            f"the archive for {rules.name} has {len(faults)} faults, the first: {faults[0]}; "
            "delete what is wrong and predict again."
        )


def _wrong_names(found: Sequence[str], names: Collection[str], rules: Rules) -> list[str]:
    faults = [f"{name} is missing" for name in sorted(set(names) - set(found))]
    faults += [f"{name} belongs to no test image" for name in sorted(set(found) - set(names))]
    if len(found) != rules.count:
        faults.append(f"it holds {len(found)} files instead of {rules.count}")
    return faults


def _wrong_label(content: bytes, rules: Rules) -> list[str]:
    try:
        # Decoding alone forgives a missing end; verifying reads every checksum.
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
    if strange := sorted(set(np.unique(values).tolist()) - rules.allowed):
        faults.append(f"holds the ids {strange}, which are no {rules.ids} ids")
    return faults
