"""The contact sheet: images with their labels, and a legend of the classes."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageOps

from hrda_lit.data.classes import Classes
from hrda_lit.data.folder import Sample
from hrda_lit.inspecting.survey import Survey
from hrda_lit.pictures.layers import Picture, colourise, panels, picture, pil

_CELL = (360, 200)  # (width, height) in pixels
_COLUMNS = 4  # two pairs of image and label in a row
_CLASS = (240, 18)  # (width, height) of a class in the legend, in pixels


class ContactSheet(NamedTuple):
    """The picture, and what kept an image out of it, in sentences."""

    image: Image.Image
    faults: list[str]


def contact_sheet(surveys: Sequence[Survey], count: int) -> ContactSheet:
    """Show some images of each part, spread evenly over it, beside their labels.

    Args:
        surveys: of the parts, at least one; all of one label space.
        count: images of each part, >= 1.
    """
    cells: dict[str, Picture] = {}
    faults = []
    for seen in surveys:
        for sample in _spread(seen.samples, count):
            try:
                cells |= _pair(seen, sample, len(cells) // 2 + 1)
            except (ValueError, OSError) as error:
                faults.append(str(error))
    legend = _legend(surveys[0].part.dataset.classes)
    sheet = panels(cells, _COLUMNS) if cells else Image.new("RGB", (legend.width, 1), "white")
    whole = Image.new("RGB", (max(sheet.width, legend.width), sheet.height + legend.height), "white")
    whole.paste(sheet, (0, 0))
    whole.paste(legend, (0, sheet.height))
    return ContactSheet(whole, faults)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    total = min(count, len(samples))
    return [samples[len(samples) * index // total] for index in range(total)]


def _pair(seen: Survey, sample: Sample, number: int) -> dict[str, Picture]:
    image, label = seen.part.dataset.read(sample)
    title = f"{number} {seen.part.role}: {sample.image.stem[-36:]}"
    cells = {title: _cell(pil(image), Image.Resampling.BOX)}
    if label is None:
        return {**cells, f"{number} no label is looked for": picture(Image.new("RGB", _CELL, "white"))}
    painted = pil(colourise(label, seen.part.dataset.classes))
    return {**cells, f"{number} label, {label.shape[0]} x {label.shape[1]}": _cell(painted, Image.Resampling.NEAREST)}


def _cell(image: Image.Image, method: Image.Resampling) -> Picture:
    return picture(ImageOps.pad(image, _CELL, method, color="white"))


def _legend(classes: Classes) -> Image.Image:
    names, colours = [*classes.names, "ignored"], [*classes.colours, (0, 0, 0)]
    width, height = _CLASS
    columns = _CELL[0] * _COLUMNS // width
    legend = Image.new("RGB", (columns * width, -(-len(names) // columns) * height + 8), "white")
    draw = ImageDraw.Draw(legend)
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        left, top = index % columns * width + 4, index // columns * height + 6
        draw.rectangle((left, top, left + 24, top + height - 6), fill=colour, outline="black")
        draw.text((left + 30, top - 1), name[:32], fill="black")
    return legend
