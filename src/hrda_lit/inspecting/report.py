"""Report on the data: tables of files, sizes and classes, and a contact sheet of images with their labels."""

from collections import Counter
from collections.abc import Iterable, Sequence

from jaxtyping import UInt8
from matplotlib.figure import Figure  # without pyplot: nothing is shown, so Agg draws
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from hrda_lit.data.folder import Sample, spread
from hrda_lit.inspecting.survey import Survey
from hrda_lit.pictures.layers import Picture, colourise
from hrda_lit.pictures.sheet import in_rows, legend, sheet
from hrda_lit.system.progress import track
from hrda_lit.system.table import Table

_WIDTH = 480  # pixels of a cell, which is as high as the first image would be
_COLUMNS = 4  # two pairs of image and label in a row


def contact_sheet(surveys: Sequence[Survey], count: int) -> tuple[Figure | None, list[str]]:
    """Show `count` images of each split, spread evenly over it, with their labels; all of one label space.

    Returns:
        The sheet, None where no image can be shown, and what kept images out of it, in sentences.
    """
    rows: list[dict[str, Picture]] = []
    labels: list[UInt8[Tensor, "H W"]] = []
    faults = []
    size: tuple[int, int] | None = None
    for survey in surveys:
        cells: dict[str, Picture] = {}
        samples = track(spread(survey.samples, count), f"reading images of {survey.split.dataset.name}")
        for number, sample in enumerate(samples, 1):
            try:
                image, label = survey.split.dataset.read(sample)
            except (ValueError, OSError) as error:
                faults.append(str(error))
                continue
            size = size or (_WIDTH, max(1, round(_WIDTH * image.shape[1] / image.shape[2])))
            cells |= _draw_pair(survey, sample, number, image, label, size)
            labels += [] if label is None else [label]
        rows += in_rows(cells, _COLUMNS)
    if not rows:
        return None, faults
    parts = [f"{one.split.role}: {one.split.dataset.name}, {len(one.samples)} images" for one in surveys]
    return sheet(rows, ", ".join(parts), legend(labels, surveys[0].split.dataset.classes)), faults


def _draw_pair(
    survey: Survey, sample: Sample, number: int, image: Tensor, label: Tensor | None, size: tuple[int, int]
) -> dict[str, Picture]:
    """Return the cells of an image and of its label, if there is one, by their titles."""
    role = f"{survey.split.role} {number}"
    about = f"{role}, {image.shape[1]} x {image.shape[2]}" + (", no label is looked for" if label is None else "")
    cells = {f"{sample.image.name}\n{about}": _cell(to_pil_image(image), size, Image.Resampling.BOX)}
    if label is not None:
        painted = to_pil_image(colourise(label, survey.split.dataset.classes))
        title = f"label\n{role}, {label.shape[0]} x {label.shape[1]}"
        cells[title] = _cell(painted, size, Image.Resampling.NEAREST)
    return cells


def _cell(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Picture:
    return pil_to_tensor(ImageOps.pad(image, size, method, color="white"))


def overview(surveys: Sequence[Survey]) -> Table:
    """Show of each split the number of its images, their sizes and modes, and how many labels were read."""
    columns = [_facts(survey) for survey in surveys]
    table = Table(["", *(str(survey.split) for survey in surveys)], title="data")
    for fact in columns[0]:
        table.add(fact, *(column[fact] for column in columns))
    return table


def _facts(survey: Survey) -> dict[str, str]:
    images = [survey.headers[sample.image] for sample in survey.samples]
    labels = [survey.headers[sample.label] for sample in survey.samples if sample.label is not None]
    return {
        "images": str(len(images)),
        "excluded": str(len(survey.excluded)),
        "sizes": _list_commonest(f"{header.height} x {header.width}" for header in images),
        "modes": _list_commonest(header.mode for header in images),
        "modes of labels": _list_commonest(header.mode for header in labels),
        "labels read": str(len(survey.ids)) if labels else "",
        "pixels ignored, %": _percent(survey, survey.split.dataset.classes.ignore) if labels else "",
    }


def shares(surveys: Sequence[Survey]) -> Table:
    """List the share of each class in the labels that were read, in percent of pixels not ignored."""
    labelled = [survey for survey in surveys if survey.split.labelled]
    headings = ["class", *(str(survey.split) for survey in labelled)]
    table = Table(headings, title="share of each class in the labels that were read, %")
    for index, name in enumerate(labelled[0].split.dataset.classes.names):
        table.add(name, *(_percent(survey, index, among_classes=True) for survey in labelled))
    return table


def _percent(survey: Survey, train: int, among_classes: bool = False) -> str:
    pixels, ignore = survey.pixels, survey.split.dataset.classes.ignore
    total = int(pixels.sum() - (pixels[ignore] if among_classes else 0))
    if not total:
        return "none read"
    return f"{100 * int(pixels[train]) / total:.2f}" if pixels[train] else "absent"


def _list_commonest(values: Iterable[str], most: int = 3) -> str:
    counts = Counter(values)
    shown = [f"{value} ({number})" for value, number in counts.most_common(most)]
    more = [f"{len(counts) - most} more"] if len(counts) > most else []
    return ", ".join(shown + more)
