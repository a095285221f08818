"""Report on the data: tables of files, sizes and classes, and a contact sheet of images with their labels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxtyping import UInt8
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from PIL import Image, ImageOps
from torch import Tensor

from hrda_lit.data.folder import Sample, spread
from hrda_lit.inspecting.survey import Survey
from hrda_lit.pictures.layers import Picture, colourise, picture, pil
from hrda_lit.pictures.sheet import in_rows, legend, sheet
from hrda_lit.system.progress import counted
from hrda_lit.system.table import Table

_WIDTH = 480  # pixels of a cell, which is as high as the first image would be
_COLUMNS = 4  # two pairs of image and label in a row


class ContactSheet(NamedTuple):
    """The picture, None where no image can be shown, and what kept an image out of it, in sentences."""

    figure: Figure | None
    faults: list[str]


def contact_sheet(surveys: Sequence[Survey], count: int) -> ContactSheet:
    """Show `count` images of each part, spread evenly over it, beside their labels; all of one label space."""
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


def overview(surveys: Sequence[Survey]) -> Table:
    """Show of each part the number of its images, their sizes and modes, and how many labels were read."""
    columns = [_facts(seen) for seen in surveys]
    table = Table(["", *(str(seen.split) for seen in surveys)], title="data")
    for fact in columns[0]:
        table.add(fact, *(column[fact] for column in columns))
    return table


def _facts(seen: Survey) -> dict[str, str]:
    images = [seen.headers[sample.image] for sample in seen.samples]
    labels = [seen.headers[sample.label] for sample in seen.samples if sample.label is not None]
    return {
        "images": str(len(images)),
        "excluded": str(len(seen.left_out)),
        "sizes": _commonest(f"{header.height} x {header.width}" for header in images),
        "modes": _commonest(header.mode for header in images),
        "modes of labels": _commonest(header.mode for header in labels),
        "labels read": str(len(seen.ids)) if labels else "",
        "pixels ignored, %": _percent(seen, seen.split.dataset.classes.ignore) if labels else "",
    }


def shares(surveys: Sequence[Survey]) -> Table:
    """List the share of each class in the labels that were read, in percent of the pixels that are not ignored."""
    labelled = [seen for seen in surveys if seen.split.labelled]
    headings = ["class", *(str(seen.split) for seen in labelled)]
    table = Table(headings, title="share of each class in the labels that were read, %")
    for index, name in enumerate(labelled[0].split.dataset.classes.names):
        table.add(name, *(_percent(seen, index, among_classes=True) for seen in labelled))
    return table


def _percent(seen: Survey, train: int, among_classes: bool = False) -> str:
    pixels, ignore = seen.pixels, seen.split.dataset.classes.ignore
    total = int(pixels.sum() - (pixels[ignore] if among_classes else 0))
    if not total:
        return "none read"
    return f"{100 * int(pixels[train]) / total:.2f}" if pixels[train] else "absent"


def _commonest(values: Iterable[str], most: int = 3) -> str:
    counts = Counter(values)
    shown = [f"{value} ({number})" for value, number in counts.most_common(most)]
    more = [f"{len(counts) - most} more"] if len(counts) > most else []
    return ", ".join(shown + more)
