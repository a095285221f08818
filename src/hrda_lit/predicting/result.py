"""A prediction, and the pictures of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from hrda_lit.data.classes import Classes
from hrda_lit.data.pixels import Pixels
from hrda_lit.pictures.figures import encode, suffix_of
from hrda_lit.pictures.layers import TITLES, Picture, colourise, grey
from hrda_lit.pictures.sheet import Entry, in_rows, legend, sheet
from hrda_lit.system.files import write_atomically

VIEWS = ("attention", "context", "detail")
_LINE = 1 / 1400  # of the longer side, the width of an outline in pixels, at least one
_SCREEN = 640  # pixels: wider pictures are shown smaller in a notebook


@dataclass(frozen=True, repr=False)
class Result:
    """The prediction of a picture; everything has the picture's own size.

    A notebook shows the picture and its overlay side by side, with a legend.

    Attributes:
        image: RGB in [0, 255].
        label: train ids, indices into `classes.names`.
        confidence: probability of the predicted class, in [0, 1].
        classes: classes of the train ids.
        views: on request, parts of a multi-resolution prediction: "context" and "detail" (train ids) and
            "attention" (the weight of the detail in [0, 1], for the predicted class).
        name: name of the picture's file; empty without a file.
    """

    image: Pixels
    label: UInt8[np.ndarray, "H W"]
    confidence: Float[np.ndarray, "H W"]
    classes: Classes
    views: dict[str, np.ndarray] = field(default_factory=dict)
    name: str = ""

    def __repr__(self) -> str:
        found, counts = np.unique(self.label, return_counts=True)
        largest = sorted(zip(counts.tolist(), found.tolist(), strict=True), reverse=True)[:3]
        shares = ", ".join(f"{self.classes.names[i]} {100 * count / self.label.size:.0f} %" for count, i in largest)
        height, width = self.label.shape
        more = ", ..." if len(found) > len(largest) else ""
        name = f"{self.name}, " if self.name else ""
        return f"Result({name}{height} x {width}, {len(found)} of {len(self.classes)} classes: {shares}{more})"

    def colour(self) -> Image.Image:
        """Paint the label in the colours of its classes."""
        return to_pil_image(self._coloured(self.label))

    def overlay(self, opacity: float = 0.5, outlines: bool = True) -> Image.Image:
        """Lay the coloured label over the picture, with white lines between the classes if `outlines`."""
        blended = np.array(Image.blend(Image.fromarray(self.image), self.colour(), opacity))
        if outlines:
            blended[borders(self.label)] = 255
        return Image.fromarray(blended)

    def figure(self) -> Figure:
        """Draw the picture, its overlay, the confidence and available views, with titles and a legend."""
        shown = {self.name or "image": self._pixels(), "prediction": pil_to_tensor(self.overlay())}
        shown[TITLES["confidence"]] = grey(torch.from_numpy(self.confidence))
        labels = [self.label]
        for name in ("context", "detail"):
            if name in self.views:
                labels.append(self.views[name])
                shown[TITLES[name]] = self._coloured(labels[-1])
        if "attention" in self.views:
            shown[TITLES["attention"]] = grey(torch.from_numpy(self.views["attention"]))
        return sheet(in_rows(shown, 3), entries=self._legend(*labels))

    def save(self, path: str | Path, kind: str = "figure") -> None:
        """Write a picture.

        Args:
            path: file to write; folders are made. A figure is of vectors in .pdf or .svg.
            kind: "figure", or another of what `hrda_lit.predict` writes: "label" (train ids), "colour",
                "overlay", "confidence", "attention", "context", "detail".

        Raises:
            ValueError: if the kind is unknown or not there, or the suffix does not fit.
            OSError: if it cannot be written.
        """
        target = Path(path).expanduser()
        suffix = suffix_of(target)
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is none of {list(KINDS)}; choose one.")
        if kind in VIEWS and kind not in self.views:
            raise ValueError(f"this result has no {kind}; ask for it by views=True.")
        if kind != "figure" and suffix != ".png":
            raise ValueError(f"{target}: {kind} is made of pixels; choose .png, or the kind 'figure'.")
        write_atomically(target, encode(KINDS[kind](self, TRAIN_IDS), suffix))

    def _repr_png_(self) -> bytes:
        """Draw the picture and its overlay side by side, for a notebook."""
        step = max(1, round(max(self.image.shape) / _SCREEN))
        shown = {self.name or "image": self._pixels(), "prediction": pil_to_tensor(self.overlay())}
        small = {name: one[:, ::step, ::step] for name, one in shown.items()}
        return encode(sheet([small], entries=self._legend(self.label)))

    def _pixels(self) -> Picture:
        return torch.from_numpy(self.image).permute(2, 0, 1)

    def _coloured(self, label: np.ndarray) -> Picture:
        return colourise(torch.from_numpy(label), self.classes)

    def _legend(self, *labels: np.ndarray) -> list[Entry]:
        return legend([torch.from_numpy(label) for label in labels], self.classes)


def borders(label: UInt8[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Return the pixels between two classes, as lines whose width grows with the picture."""
    lines = np.zeros(label.shape, dtype=bool)
    lines[1:] |= label[1:] != label[:-1]
    lines[:, 1:] |= label[:, 1:] != label[:, :-1]
    reach = round(_LINE * max(label.shape) / 2)
    wide = F.max_pool2d(torch.from_numpy(lines)[None].float(), 2 * reach + 1, stride=1, padding=reach)
    return wide[0].bool().numpy()


def _with_palette(label: np.ndarray, classes: Classes, table: Tensor) -> Image.Image:
    """Turn train ids into those of a file, under a palette of their classes' colours."""
    colours = np.zeros((256, 3), np.uint8)
    colours[table[: len(classes)].numpy()] = classes.colours
    image = Image.fromarray(table.numpy()[label])
    image.putpalette(colours.tobytes())
    return image


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(grey(torch.from_numpy(values))[0].numpy())


TRAIN_IDS = torch.arange(256, dtype=torch.uint8)
# Kinds of files; the table turns train ids into those of label files.
KINDS: dict[str, Callable[[Result, Tensor], Image.Image | Figure]] = {
    "label": lambda result, table: _with_palette(result.label, result.classes, table),
    "colour": lambda result, _: result.colour(),
    "overlay": lambda result, _: result.overlay(),
    "confidence": lambda result, _: _grey(result.confidence),
    "attention": lambda result, _: _grey(result.views["attention"]),
    "context": lambda result, _: _with_palette(result.views["context"], result.classes, TRAIN_IDS),
    "detail": lambda result, _: _with_palette(result.views["detail"], result.classes, TRAIN_IDS),
    "figure": lambda result, _: result.figure(),
}
