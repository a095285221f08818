"""Interpret the values of label files: ids, a palette, colours, or masks of 0 and 255."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hrda_lit.data.classes import CITYSCAPES, ID_MAPS, Colour
from hrda_lit.data.images import open_picture
from hrda_lit.data.label_files import read_label, read_label_colours
from hrda_lit.data.labels import count_colours, count_ids
from hrda_lit.proposal.class_lists import ClassList, parse_classes
from hrda_lit.proposal.measure import read_some

IGNORE = 255
SAMPLE = 48  # labels that are read to see what they hold
SMOOTH = 64  # values between 0 and 255, or colours per class: more come of smoothed or compressed labels


@dataclass(frozen=True)
class LabelValues:
    """Values of one label or of several: ids, or colours that stand for classes."""

    ids: Counter[int] = field(default_factory=Counter)  # pixels by value
    colours: Counter[Colour] = field(default_factory=Counter)  # pixels by colour
    palette: list[Colour] = field(default_factory=list)  # empty without one


@dataclass(frozen=True)
class LabelSpace:
    """Classes of label files, as the YAML of a dataset describes them."""

    names: list[str]
    id_map: dict[int, int] | str | None  # raw id to train id; a known map; None where files hold train ids
    why: str  # reason, in words
    colour_map: dict[str, Colour | list[Colour]] | None = None  # None where files hold ids
    colours: list[Colour] | None = None  # of each class in pictures


def read_values(labels: Sequence[Path]) -> LabelValues:
    """Read what `SAMPLE` of some labels hold, evenly over all.

    Raises:
        ValueError: if none is a label.
    """
    files = read_some(_read, labels, SAMPLE, "reading labels")
    ids, shown, colours = Counter[int](), Counter[Colour](), Counter[Colour]()
    meanings: dict[int, Colour] = {}
    is_stable = True
    for one in files:
        ids.update(one.ids)
        colours.update(one.colours)
        for raw, count in one.ids.items():
            if raw < len(one.palette):
                shown[one.palette[raw]] += count
                is_stable &= meanings.setdefault(raw, one.palette[raw]) == one.palette[raw]
    if not is_stable:  # a palette for each file: its colours, not its indices, stand for classes
        return LabelValues(colours=colours + shown)
    palette = max((one.palette for one in files), key=len)
    return LabelValues(ids, colours, palette)


def _read(path: Path) -> LabelValues:
    mode, palette = "", list[int]()
    if path.suffix.lower() != ".npy":
        mode, palette = open_picture(path, lambda file: (file.mode, file.getpalette() or []))
    if mode in ("RGB", "RGBA"):
        pixels = read_label_colours(path)
        if bool((pixels != pixels[..., :1]).any()):
            return LabelValues(colours=count_colours(pixels))
    entries = list(zip(palette[::3], palette[1::3], palette[2::3], strict=True))
    return LabelValues(count_ids(read_label(path)), palette=entries)


def label_space(values: LabelValues, known: ClassList | None, role: str, end: str, classes: Any) -> LabelSpace:
    """Interpret the values of labels, whose names have this end.

    The user may have answered by `classes`: "cityscapes", a file, a list of names, or a mapping of
    names to colours or ids.

    Raises:
        ValueError: if it is ambiguous; the error names the key that answers.
    """
    if classes == "cityscapes" or (classes is None and known is None and is_cityscapes(end)):
        is_raw = "TrainIds" not in end and not set(values.ids) <= {*range(19), IGNORE}
        id_map = "cityscapes" if is_raw else None
        return LabelSpace(list(CITYSCAPES.names), id_map, "names of Cityscapes' files")
    if classes is not None:
        known = parse_classes(classes)
    _require_sharp(values, known, role)
    if values.colours:
        return _coloured(values, known, role)
    if set(values.ids) in ({0, 1}, {0, IGNORE}) and _is_mask(known, max(values.ids)):
        return _mask(known, max(values.ids))
    if known is None:
        raise ValueError(
            f"{role}: labels hold the ids {_shown(values.ids)}, which no file names; give "
            "classes=[road,sky,...] in the order of the ids, classes={road: 0, sky: 3}, classes=FILE "
            "with a name a line, or classes=cityscapes."
        )
    return _numbered(values, known, role)


def is_cityscapes(end: str) -> bool:
    """Return whether names of labels end as those of Cityscapes."""
    return re.search("_label(Train)?Ids", end) is not None


def _require_sharp(values: LabelValues, known: ClassList | None, role: str) -> None:
    """Refuse values of edges that were smoothed."""
    named = set(known.ids) if known else set()
    between = set(values.ids) - named - {0, IGNORE}
    is_smooth = len(between) > SMOOTH and values.ids[0] + values.ids[IGNORE] > values.ids.total() / 2
    if is_smooth or len(values.colours) > SMOOTH * max(16, len(named)):
        what = f"{len(between)} values between 0 and 255" if is_smooth else f"{len(values.colours)} colours"
        raise ValueError(
            f"{role}: labels hold {what}, as smooth edges, scaling or JPEG leave them; export them "
            f"once more without, or say which files are labels by {role}_labels=... (none: no file)."
        )


def _is_mask(known: ClassList | None, inside: int) -> bool:
    return known is None or (known.is_plain and len(known.names) < (3 if inside == IGNORE else 2))


def _mask(known: ClassList | None, inside: int) -> LabelSpace:
    names, origin = (known.names, f", names of {known.origin}") if known else (["foreground"], "")
    id_map = None if inside == 1 else {0: 0, inside: 1}
    return LabelSpace(["background", *names][-2:], id_map, f"masks of 0 and {inside}{origin}")


def _numbered(values: LabelValues, known: ClassList, role: str) -> LabelSpace:
    if len(known.names) < 2:
        raise ValueError(f"{role}: {known.origin} names {known.names[0]} alone; name two classes or more.")
    ignored = {IGNORE, *(entry.id for entry in known.ignored)}
    strange = sorted(set(values.ids) - set(known.ids) - ignored)
    if strange and (known.is_plain or strange != [0]):
        raise ValueError(
            f"{role}: labels hold the ids {_shown(strange)}, which {known.origin} does not name (it has "
            f"{_shown(known.ids)}); give classes={{name: id, ...}} with each id that counts, or put the "
            "id before each name of the list."
        )
    why = f"ids as in {known.origin}" + ("; 0, which it does not name, is ignored" if strange else "")
    is_direct = known.is_plain and not known.ignored
    id_map = None if is_direct else {raw: index for index, raw in enumerate(known.ids)}
    return LabelSpace(known.names, id_map, why, colours=_distinct_colours(values, known))


def _distinct_colours(values: LabelValues, known: ClassList) -> list[Colour] | None:
    """Return the colours of a list or of a palette, if each class has one of its own."""
    colours = known.colours
    if not colours and max(known.ids) < len(values.palette):
        colours = [values.palette[raw] for raw in known.ids]
    return colours if len(set(colours)) == len(known.names) else None


def _coloured(values: LabelValues, known: ClassList | None, role: str) -> LabelSpace:
    if known is None or len(known.colours) < len(known.names):
        shown = ", ".join(str(list(colour)) for colour, _ in values.colours.most_common(5))
        raise ValueError(
            f"{role}: labels hold {len(values.colours)} colours ({shown}, ...), which no file names; give "
            "classes={road: [128,64,128], ...}."
        )
    ignored = [entry.colour for entry in known.ignored if entry.colour is not None]
    strange = set(values.colours).difference(known.colours, ignored)
    if strange == {(0, 0, 0)}:
        ignored.append((0, 0, 0))
    elif strange:
        raise ValueError(
            f"{role}: labels hold {len(strange)} colours that {known.origin} does not name, e.g. "
            f"{list(min(strange))}; name them in it, or give classes={{name: [r,g,b], ...}}."
        )
    why = f"colours as in {known.origin}" + ("; black is ignored" if (0, 0, 0) in ignored else "")
    colour_map: dict[str, Colour | list[Colour]] = dict(zip(known.names, known.colours, strict=True))
    if ignored:
        colour_map["ignore"] = ignored
    return LabelSpace(known.names, None, why, colour_map, known.colours)


def same_classes(source: LabelSpace, target: LabelSpace) -> LabelSpace:
    """Bring the classes of the target into the order of the source's.

    Raises:
        ValueError: if the target's names are others.
    """
    other = sorted(set(target.names) - set(source.names))
    if target.names == source.names:
        return target
    if other:
        raise ValueError(
            f"the target has the classes {other}, which the source lacks ({source.names}); rename them "
            "in its list, or give classes=[...] for both."
        )
    place = [source.names.index(name) for name in target.names]
    raw = ID_MAPS[target.id_map] if isinstance(target.id_map, str) else target.id_map
    ids = {value: place[index] for value, index in (raw or dict(enumerate(range(len(place))))).items()}
    why = f"{target.why}, in the source's order"
    return replace(
        target, names=source.names, id_map=None if target.colour_map else ids, why=why, colours=source.colours
    )


def _shown(values: Iterable[int]) -> str:
    found = sorted(values)
    return ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
