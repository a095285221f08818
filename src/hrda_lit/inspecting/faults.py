"""Faults of data: images that cannot be used, labels that teach nothing, and what is worth a warning."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath

from hrda_lit.data.folder import Sample
from hrda_lit.data.images import SUFFIXES, describe_dark
from hrda_lit.data.transforms import fitted_size, half_crop
from hrda_lit.inspecting.survey import Survey

FEW = 10  # images, below which a set is probably not meant as it is
PADDED = 0.1  # share of a crop that is worth a warning
MUCH = 0.8  # share of ignored pixels that is worth a warning

Fault = tuple[str, str]  # a kind, and one example in words


def find_faults(seen: Survey) -> dict[Sample, Fault]:
    """Find the fault of each image that cannot be used."""
    found = {sample: _fault(seen, sample) for sample in seen.samples}
    return {sample: fault for sample, fault in found.items() if fault is not None}


def describe_faults(seen: Survey, found: dict[Sample, Fault]) -> str:
    """Describe the faults of a split (at least one) in one sentence: an example, counts and the remedy."""
    kinds = Counter(kind for kind, _ in found.values())
    _, example = next(iter(found.values()))
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return (
        f"{example.rpartition(';')[0] or example}; of the {len(seen.samples)} images of {seen.split}, {len(found)} "
        f"cannot be used ({counts}): correct them, name them in layout.exclude, or set data.skip_broken=true."
    )


def _fault(seen: Survey, sample: Sample) -> Fault | None:
    image = seen.headers[sample.image]
    if image.fault:
        return "broken", image.fault
    if sample.label is None:
        return None
    if not seen.split.dataset.tree.is_file(sample.label):
        return "without a label", f"{sample.image} has no label, {sample.label} does not exist;"
    label = seen.headers[sample.label]
    if label.fault:
        return "with a broken label", label.fault
    if isinstance(ids := seen.ids.get(sample.label), str):
        return "with unknown ids", ids
    if label[:2] != image[:2] and seen.split.dataset.layout.sizes == "same":
        return "with a label of another size", (
            f"label {sample.label} has {label[:2]} pixels, its image {image[:2]}, where layout.sizes=differ would "
            "resize each by itself;"
        )
    return None


def find_useless_labels(seen: Survey, most_ignored: float) -> str:
    """Explain in one sentence why the labels of a split cannot be learned from or scored; "" if they can."""
    pixels, classes = seen.pixels, seen.split.dataset.classes
    total, ignored = int(pixels.sum()), int(pixels[classes.ignore])
    names = seen.present
    if not total or (ignored <= most_ignored * total and len(names) > 1):
        return ""
    where = f"{len(seen.ids)} labels of {seen.split}, whose files hold the ids {_ids(seen.raw)}"
    if seen.split.dataset.labels.are_train_ids and set(seen.raw) == {0, classes.ignore}:
        return (
            f"{where}, appear to be binary masks, but {classes.ignore} is ignored and all that is left is "
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


def find_disjoint_classes(source: Survey, val: Survey) -> str:
    """Explain in one sentence that the labels of two splits have no class in common; "" if they have."""
    one, other = source.present, val.present
    if not one or not other or set(one) & set(other):
        return ""
    return (
        f"the labels of {source.split} hold {', '.join(one)} and those of {val.split} {', '.join(other)}, no class of "
        "both; correct the id_map of one of them."
    )


def find_oddities(surveys: Sequence[Survey]) -> list[str]:
    """List in sentences what is worth a warning and stops nothing."""
    return [text for seen in surveys for text in _of_one(seen)] + _shared(surveys)


def find_padding(seen: Survey, crop: tuple[int, int]) -> str:
    """Explain in one sentence that much of the crops is padding, larger than images; "" if they are not."""
    box = seen.split.dataset.size
    sizes = Counter(fitted_size(seen.headers[sample.image][:2], box) for sample in seen.samples)
    if not sizes:
        return ""
    (height, width), _ = sizes.most_common(1)[0]
    share = 1 - min(height, crop[0]) * min(width, crop[1]) / (crop[0] * crop[1])
    if share <= PADDED:
        return ""
    return (
        f"crops of {crop[0]} x {crop[1]} from images of {height} x {width} ({seen.split}) are {100 * share:.0f} % "
        f"padding; lower data.crop to half of a picture, e.g. {half_crop((height, width))}, or raise "
        f"{seen.split.role}.size."
    )


def _of_one(seen: Survey) -> list[str]:
    checks = (_few_files, _unused_files, _unnamed_ids, _odd_pixels, _odd_labels)
    found = [text for check in checks for text in check(seen)]
    if seen.deep and seen.split.dataset.layout.bits is None and (dark := describe_dark(seen.deep)):
        found.append(f"{seen.split} {dark}")
    return found


def _few_files(seen: Survey) -> Iterator[str]:
    if seen.left_out:
        yield f"{len(seen.left_out)} images of {seen.split} are excluded, the first is {seen.left_out[0]}."
    if len(seen.samples) < FEW:
        yield f"{seen.split} has {len(seen.samples)} images only."


def _unused_files(seen: Survey) -> Iterator[str]:
    if not seen.unused:
        return
    pattern, remedy = PurePath(seen.split.dataset.images), "they are no images"
    pictures = [path for path in seen.unused if path.suffix.lower() in SUFFIXES]
    if others := [path for path in pictures if path.suffix != pattern.suffix]:
        remedy = f"for all suffixes set images={pattern.parent / '*'} and label_rule={{..., .*: .png}}"
    elif pictures:
        remedy = "correct it if they are meant"
    first = (others or pictures or seen.unused)[0]
    yield (
        f"{_count(seen.unused, 'file')} not used beside the images of {seen.split}, e.g. {first}: images="
        f"{seen.split.dataset.images} does not fit; {remedy}."
    )


def _unnamed_ids(seen: Survey) -> Iterator[str]:
    named, total = seen.split.dataset.labels.named, sum(seen.raw.values())
    unnamed = {} if named is None else {raw: count for raw, count in seen.raw.items() if raw not in named}
    if unnamed:
        yield (
            f"{_count(unnamed, 'id')} in no rule of id_map of {seen.split} and ignored, "
            f"{100 * sum(unnamed.values()) / total:.1f} % of the pixels: {_ids(unnamed)}."
        )


def _odd_pixels(seen: Survey) -> Iterator[str]:
    pixels, classes = seen.pixels, seen.split.dataset.classes
    ignored = float(pixels[classes.ignore]) / max(int(pixels.sum()), 1)
    if ignored > MUCH:
        yield f"{100 * ignored:.0f} % of the pixels of {seen.split} are ignored; check its id_map."
    absent = [name for name in classes.names if name not in seen.present]
    if seen.split.role == "source" and seen.ids and absent:
        yield f"no pixel of {', '.join(absent)} in the {len(seen.ids)} labels of {seen.split} that were read."


def _odd_labels(seen: Survey) -> Iterator[str]:
    other = [s for s in seen.samples if s.label and seen.headers[s.image][:2] != seen.headers[s.label][:2]]
    if other:
        yield (
            f"{len(other)} labels of {seen.split} have another size than their image and are resized by themselves, "
            f"the first is {other[0].label}."
        )
    if twice := len(seen.samples) - len({sample.label or sample.image for sample in seen.samples}):
        yield f"{twice} images of {seen.split} have the label of another image."


def _count(items: Collection[object], noun: str) -> str:
    return f"{len(items)} {noun}s are" if len(items) > 1 else f"1 {noun} is"


def _shared(surveys: Sequence[Survey]) -> list[str]:
    """List the images that are trained on with their labels and scored too."""
    by_role = {seen.split.role: {s.image.resolve() for s in seen.samples} for seen in surveys if seen.split.labelled}
    source, val = by_role.get("source", set()), by_role.get("val", set())
    if not (both := sorted(source & val)):
        return []
    return [f"{len(both)} images are in source and val alike, the first is {both[0]}: scores on them mean little."]


def _ids(raw: Collection[int]) -> str:
    return ", ".join(map(str, sorted(raw)[:12])) + (", ..." if len(raw) > 12 else "")
