"""The contact sheet: images with their labels, and a legend of the classes that occur in these."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import UInt8
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from PIL import Image, ImageOps
from torch import Tensor

from hrda_lit.data.folder import Sample
from hrda_lit.inspecting.survey import Survey, spread
from hrda_lit.pictures.layers import Picture, colourise, picture, pil
from hrda_lit.pictures.sheet import in_rows, legend, sheet
from hrda_lit.system.progress import counted

_WIDTH = 480  # pixels of a cell, which is as high as the first image would be
_COLUMNS = 4  # two pairs of image and label in a row


class ContactSheet(NamedTuple):
    """The picture, None where no image can be shown, and what kept an image out of it, in sentences."""

    figure: Figure | None
    faults: list[str]


def contact_sheet(surveys: Sequence[Survey], count: int) -> ContactSheet:
    """Show some images of each part, spread evenly over it, beside their labels.

    Args:
        surveys: surveys of the splits, at least one; all of one label space.
        count: images of each part, >= 1.
    """
    rows: list[dict[str, Picture]] = []
    labels: list[UInt8[Tensor, "H W"]] = []
    faults = []
    size: tuple[int, int] | None = None
    for seen in surveys:
        cells: dict[str, Picture] = {}
        shown = counted(spread(seen.samples, count), f"reading images of {seen.split.dataset.name}")
        for number, sample in enumerate(shown, 1):
            try:
                image, label = seen.split.dataset.read(sample)
            except (ValueError, OSError) as error:
                faults.append(str(error))
                continue
            size = size or (_WIDTH, max(1, round(_WIDTH * image.shape[1] / image.shape[2])))
            cells |= _shown(seen, sample, number, image, label, size)
            labels += [] if label is None else [label]
        rows += in_rows(cells, _COLUMNS)
    sets = ", ".join(f"{seen.split.role}: {seen.split.dataset.name}, {len(seen.samples)} images" for seen in surveys)
    figure = sheet(rows, sets, legend(labels, surveys[0].split.dataset.classes)) if rows else None
    return ContactSheet(figure, faults)


def _shown(
    seen: Survey, sample: Sample, number: int, image: Tensor, label: Tensor | None, size: tuple[int, int]
) -> dict[str, Picture]:
    """Return the image, which its file names, and its label where one is looked for."""
    role = f"{seen.split.role} {number}"
    about = f"{role}, {image.shape[1]} x {image.shape[2]}" + (", no label is looked for" if label is None else "")
    cells = {f"{sample.image.name}\n{about}": _cell(pil(image), size, Image.Resampling.BOX)}
    if label is None:
        return cells
    painted = pil(colourise(label, seen.split.dataset.classes))
    title = f"label\n{role}, {label.shape[0]} x {label.shape[1]}"
    return {**cells, title: _cell(painted, size, Image.Resampling.NEAREST)}


def _cell(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Picture:
    return picture(ImageOps.pad(image, size, method, color="white"))
