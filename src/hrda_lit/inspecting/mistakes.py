"""Labels that can be read and teach nothing: a wrong id map, binary masks, classes that never meet."""

from collections import Counter
from collections.abc import Sequence

from hrda_lit.data.transforms import fitted_size
from hrda_lit.inspecting.survey import Survey

FEW = 10  # images, below which a set is probably not meant as it is
PADDED = 0.1  # share of a crop that is worth a warning
MUCH = 0.8  # share of ignored pixels that is worth a warning


def mistake(seen: Survey, most_ignored: float) -> str:
    """Say in one sentence why the labels of a part cannot be learned from or scored; "" if they can.

    Args:
        seen: the part.
        most_ignored: share of ignored pixels that passes, in [0, 1].
    """
    pixels, classes = seen.pixels, seen.part.dataset.classes
    total, ignored = int(pixels.sum()), int(pixels[classes.ignore])
    names = present(seen)
    if not total or (ignored <= most_ignored * total and len(names) > 1):
        return ""
    where = f"{len(seen.ids)} labels of {seen.part}, whose files hold {_ids(seen)}"
    if seen.part.dataset.labels.are_train_ids and set(seen.raw) == {0, classes.ignore}:
        return (
            f"{where}, look like binary masks, but {classes.ignore} is ignored and all that is left is "
            f"'{classes.names[0]}'; set id_map={{0: 0, {classes.ignore}: 1}}."
        )
    if ignored > most_ignored * total:
        return (
            f"{100 * ignored / total:.1f} % of the pixels are ignored in the {where}; correct id_map, classes.ignore "
            "or layout.colour_map, or raise data_check.most_ignored."
        )
    return (
        f"'{names[0]}' is the only class in the {where}, so that there is nothing to tell apart; correct id_map or "
        "layout.colour_map."
    )


def strangers(source: Survey, val: Survey) -> str:
    """Say in one sentence that the labels of two parts have no class in common; "" if they have."""
    one, other = present(source), present(val)
    if not one or not other or set(one) & set(other):
        return ""
    return (
        f"the labels of {source.part} hold {', '.join(one)} and those of {val.part} {', '.join(other)}, no class of "
        "both; correct the id_map of one of them."
    )


def warnings(surveys: Sequence[Survey]) -> list[str]:
    """Say what is worth a look and stops nothing."""
    return [text for seen in surveys for text in _of_one(seen)] + _shared(surveys)


def padding(seen: Survey, crop: tuple[int, int]) -> str:
    """Say in one sentence that crops are larger than images, so that much of them is padding; "" if they are not.

    Args:
        seen: the part that is cropped.
        crop: (height, width) in high-resolution pixels.
    """
    box = seen.part.dataset.size
    sizes = Counter(fitted_size(seen.headers[sample.image][:2], box) for sample in seen.samples)
    if not sizes:
        return ""
    (height, width), _ = sizes.most_common(1)[0]
    share = 1 - min(height, crop[0]) * min(width, crop[1]) / (crop[0] * crop[1])
    if share <= PADDED:
        return ""
    least = min(height, width)
    return (
        f"crops of {crop[0]} x {crop[1]} from images of {height} x {width} ({seen.part}) are {100 * share:.0f} % "
        f"padding; lower data.crop, e.g. to [{least // 64 * 64 or least}, {least // 64 * 64 or least}], or raise "
        f"{seen.part.role}.size."
    )


def present(seen: Survey) -> list[str]:
    """Return the names of the classes that have pixels."""
    classes = seen.part.dataset.classes
    return [name for name, number in zip(classes.names, seen.pixels.tolist(), strict=False) if number]


def _of_one(seen: Survey) -> list[str]:
    part, pixels, found = seen.part, seen.pixels, []
    if seen.left_out:
        found.append(f"{len(seen.left_out)} images of {part} are left out, the first is {seen.left_out[0]}.")
    if len(seen.samples) < FEW:
        found.append(f"{part} has {len(seen.samples)} images only.")
    ignored = float(pixels[part.dataset.classes.ignore]) / max(int(pixels.sum()), 1)
    if ignored > MUCH:
        found.append(f"{100 * ignored:.0f} % of the pixels of {part} are ignored; look at its id_map.")
    absent = [name for name in part.dataset.classes.names if name not in present(seen)]
    if part.role == "source" and seen.ids and absent:
        found.append(f"no pixel of {', '.join(absent)} in the {len(seen.ids)} labels of {part} that were read.")
    other = [s for s in seen.samples if s.label and seen.headers[s.image][:2] != seen.headers[s.label][:2]]
    if other:
        found.append(
            f"{len(other)} labels of {part} have another size than their image and are resized by themselves, "
            f"the first is {other[0].label}."
        )
    if twice := len(seen.samples) - len({sample.label or sample.image for sample in seen.samples}):
        found.append(f"{twice} images of {part} have the label of another image.")
    return found


def _shared(surveys: Sequence[Survey]) -> list[str]:
    """Tell which images are trained on with their labels and scored too."""
    by_role = {seen.part.role: {s.image.resolve() for s in seen.samples} for seen in surveys if seen.part.labelled}
    source, val = by_role.get("source", set()), by_role.get("val", set())
    if not (both := sorted(source & val)):
        return []
    return [f"{len(both)} images are in source and val alike, the first is {both[0]}: scores on them mean little."]


def _ids(seen: Survey) -> str:
    raw = sorted(seen.raw)
    shown = ", ".join(map(str, raw[:12])) + (", ..." if len(raw) > 12 else "")
    return f"the ids {shown}"
