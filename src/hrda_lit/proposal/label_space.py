"""What the values of label files stand for: ids, a palette, colours, or masks of 0 and 255."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.data.folder import spread
from hrda_lit.proposal.class_lists import ClassList, Colour, make_list

IGNORE = 255
SAMPLE = 48  # labels that are read to see what they hold


@dataclass(frozen=True)
class LabelValues:
    """What some labels hold.

    Args:
        ids: pixels by value, where labels have one channel, a palette, or three equal channels.
        colours: pixels by colour, where colours stand for classes.
        palette: colours of the palette, where there is one.
        count: labels that were read.
    """

    ids: Counter[int] = field(default_factory=Counter)
    colours: Counter[Colour] = field(default_factory=Counter)
    palette: list[Colour] | None = None
    count: int = 0


@dataclass(frozen=True)
class LabelSpace:
    """Classes of label files, as a data set's YAML describes them.

    Args:
        names: names of the classes.
        id_map: raw id to train id; None where files hold train ids; or the name of a known map.
        colour_map: colours of each class, where colours stand for classes.
        colours: colour of each class in pictures.
        ignored: colours that stand for no class.
        why: reason for all this, in words.
    """

    names: list[str]
    id_map: dict[int, int] | str | None
    why: str
    colour_map: dict[str, Colour] | None = None
    colours: list[Colour] | None = None
    ignored: list[Colour] = field(default_factory=list)

    def list_colours(self) -> dict[str, Any]:
        """Return the `layout.colour_map` of a data set; empty where files hold ids."""
        colours: dict[str, Any] = {name: list(colour) for name, colour in (self.colour_map or {}).items()}
        return colours | ({"ignore": [list(colour) for colour in self.ignored]} if colours and self.ignored else {})


def read_values(labels: Sequence[Path]) -> LabelValues:
    """Read what `SAMPLE` of some labels hold, evenly over all.

    Raises:
        ValueError: if a file is no image.
    """
    ids: Counter[int] = Counter()
    colours: Counter[Colour] = Counter()
    palette = None
    some = spread(labels, SAMPLE)
    for path in some:
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image if image.mode in ("P", "L", "1", "I", "I;16") else image.convert("RGB"))
                if image.mode == "P":
                    palette = [tuple(c) for c in np.array(image.getpalette()).reshape(-1, 3).tolist()]
        except OSError as error:
            raise ValueError(f"{path} is no label that can be read ({error}); copy it again or remove it.") from error
        if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
        if pixels.ndim == 2:
            values, counts = np.unique(pixels.astype(np.int64), return_counts=True)
            ids.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        else:
            values, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
            colours.update({tuple(c): n for c, n in zip(values.tolist(), counts.tolist(), strict=True)})
    return LabelValues(ids, colours, palette, len(some))


def label_space(
    values: LabelValues, known: ClassList | None, role: str, ending: str, classes: Any = None
) -> LabelSpace:
    """Say what the values of labels stand for.

    Args:
        values: content of some labels.
        known: list of classes beside them; None without one.
        role: source or target, for messages.
        ending: end of the names of labels.
        classes: answer of the user: "cityscapes", a list of names, or a mapping of names to colours or ids.

    Raises:
        ValueError: if it cannot be told; the error names the key that does.
    """
    if classes is not None:
        known = _given(classes)
    if classes == "cityscapes" or (known is None and "_gtFine_" in ending):
        raw = "TrainIds" not in ending and bool(set(values.ids) - set(range(19)) - {IGNORE})
        return LabelSpace(list(CITYSCAPES.names), "cityscapes" if raw else None, "names of Cityscapes' files")
    if values.colours:
        return _coloured(values, known, role)
    if set(values.ids) == {0, IGNORE} and (known is None or len(known.names) < 3):
        return _mask(known)
    if known is None:
        raise ValueError(
            f"{role}: labels hold the ids {_shown(values.ids)}, which no file names; give classes=[road,sky,...] in "
            "the order of the ids, or classes={road: 0, sky: 3}."
        )
    return _numbered(values, known, role)


def _mask(known: ClassList | None) -> LabelSpace:
    if known is None:
        names, why = ["background", "foreground"], "masks of 0 and 255"
    else:
        names, why = known.names, f"masks of 0 and 255, names of {known.origin}"
    return LabelSpace(names if len(names) == 2 else ["background", *names], {0: 0, IGNORE: 1}, why)


def _numbered(values: LabelValues, known: ClassList, role: str) -> LabelSpace:
    strange = sorted(set(values.ids) - set(known.ids) - {IGNORE})
    plain = known.ids == list(range(len(known.names)))
    if strange and (plain or strange != [0]):
        raise ValueError(
            f"{role}: labels hold the ids {_shown(strange)}, which {known.origin} does not name (it has "
            f"{_shown(known.ids)}); give classes={{name: id, ...}} with each id that counts."
        )
    why = f"ids as in {known.origin}" + ("; 0 stands for no class there and is ignored" if strange else "")
    ids = None if plain else {raw: index for index, raw in enumerate(known.ids)}
    return LabelSpace(known.names, ids, why, None, _colours(values, known))


def _colours(values: LabelValues, known: ClassList) -> list[Colour] | None:
    """Return the colours of a list or of a palette, if each class has one of its own."""
    colours, palette = known.colours, values.palette
    if colours is None and palette and max(known.ids) < len(palette):
        colours = [palette[index] for index in known.ids]
    return colours if colours and len(set(colours)) == len(colours) else None


def _coloured(values: LabelValues, known: ClassList | None, role: str) -> LabelSpace:
    if known is None or known.colours is None:
        shown = ", ".join(str(list(colour)) for colour, _ in values.colours.most_common(5))
        raise ValueError(
            f"{role}: labels hold {len(values.colours)} colours ({shown}, ...), which no file names; give "
            "classes={road: [128,64,128], ...}."
        )
    strange = set(values.colours) - set(known.colours) - set(known.ignored)
    ignored = list(known.ignored)
    if strange == {(0, 0, 0)}:
        ignored.append((0, 0, 0))
        strange = set()
    if strange:
        raise ValueError(
            f"{role}: labels hold {len(strange)} colours that {known.origin} does not name, e.g. "
            f"{list(min(strange))}; name them in it, or give classes={{name: [r,g,b], ...}}."
        )
    why = f"colours as in {known.origin}" + ("; black is ignored" if (0, 0, 0) in ignored else "")
    return LabelSpace(
        known.names, None, why, dict(zip(known.names, known.colours, strict=True)), known.colours, ignored
    )


def _given(classes: Any) -> ClassList | None:
    if isinstance(classes, str):
        if classes != "cityscapes":
            raise ValueError(f"classes={classes}: expected cityscapes, a list of names, or a mapping; correct it.")
        return None
    if isinstance(classes, Mapping):
        values = list(classes.values())
        if all(isinstance(value, int) for value in values):
            return make_list(map(str, classes), "classes", ids=values)
        return make_list(map(str, classes), "classes", [(int(r), int(g), int(b)) for r, g, b in values])
    return make_list(map(str, classes), "classes")


def same_classes(source: LabelSpace, target: LabelSpace) -> LabelSpace:
    """Bring the classes of the target into the order of the source's.

    Raises:
        ValueError: if the target's names are others.
    """
    if target.names == source.names:
        return target
    if other := sorted(set(target.names) - set(source.names)):
        raise ValueError(
            f"the target has the classes {other}, which the source lacks ({source.names}); rename them in its list, or "
            "give classes=[...] for both."
        )
    place = {index: source.names.index(name) for index, name in enumerate(target.names)}
    raw = {i: i for i in place} if target.id_map is None else target.id_map
    assert isinstance(raw, dict)
    ids = None if target.colour_map else {value: place[index] for value, index in raw.items()}
    return LabelSpace(source.names, ids, f"{target.why}, in the source's order", target.colour_map, source.colours,
                      target.ignored)  # fmt: skip


def _shown(values: Sequence[int] | Counter[int]) -> str:
    found = sorted(values)
    return ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
