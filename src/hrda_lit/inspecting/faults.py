"""Faults of data, in sentences: unusable images, labels that teach nothing, and what is worth a warning."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath

from hrda_lit.data.folder import Sample
from hrda_lit.data.images import SUFFIXES, describe_dark
from hrda_lit.data.transforms import fitted_size, half_crop
from hrda_lit.inspecting.survey import Survey
from hrda_lit.system.text import count

FEW = 10  # images, below which a dataset is probably not meant as it is
PADDED = 0.1  # share of a crop that is worth a warning
MUCH = 0.8  # share of ignored pixels that is worth a warning

Fault = tuple[str, str]  # a kind, and one example in words


def find_faults(survey: Survey) -> dict[Sample, Fault]:
    """Find the fault of each image that cannot be used."""
    found = {sample: _find_fault(survey, sample) for sample in survey.samples}
    return {sample: fault for sample, fault in found.items() if fault is not None}


def describe_faults(survey: Survey, found: dict[Sample, Fault]) -> str:
    """Describe the faults of a split (at least one) in one sentence: an example, counts and the remedy."""
    kinds = Counter(kind for kind, _ in found.values())
    _, example = next(iter(found.values()))
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return (
        f"{example.rpartition(';')[0] or example}; of the {len(survey.samples)} images of {survey.split}, {len(found)} "
        f"cannot be used ({counts}): correct them, name them in layout.exclude, or set data.skip_broken=true."
    )


def _find_fault(survey: Survey, sample: Sample) -> Fault | None:
    image, label_file = survey.headers[sample.image], sample.label
    if image.fault:
        return "broken", image.fault
    if label_file is None:
        return None
    if not survey.split.dataset.tree.is_file(label_file):
        return "without a label", f"{sample.image} has no label, {label_file} does not exist;"
    label, ids = survey.headers[label_file], survey.ids.get(label_file)
    if label.fault:
        return "with a broken label", label.fault
    if isinstance(ids, str):
        return "with unknown ids", ids
    if label[:2] != image[:2] and survey.split.dataset.layout.sizes == "same":
        return "with a label of another size", (
            f"label {label_file} has {label[:2]} pixels, its image {image[:2]}, where layout.sizes=differ would "
            "resize each by itself;"
        )
    return None


def find_useless_labels(survey: Survey, most_ignored: float) -> list[str]:
    """Explain why the labels of a split cannot be learned from or scored; empty if they can."""
    pixels, classes = survey.pixels, survey.split.dataset.classes
    total, ignored = int(pixels.sum()), int(pixels[classes.ignore])
    if not total or (ignored <= most_ignored * total and len(survey.present) > 1):
        return []
    where = f"{len(survey.ids)} labels of {survey.split}, whose files hold the ids {_list_ids(survey.raw)}"
    if survey.split.dataset.labels.are_train_ids and set(survey.raw) == {0, classes.ignore}:
        return [
            f"{where}, appear to be binary masks, but {classes.ignore} is ignored and all that is left is "
            f"'{classes.names[0]}'; set id_map={{0: 0, {classes.ignore}: 1}}."
        ]
    if ignored > most_ignored * total:
        return [
            f"{100 * ignored / total:.1f} % of the pixels are ignored in the {where}; correct id_map, classes.ignore "
            "or layout.colour_map, or raise data_check.most_ignored."
        ]
    return [
        f"'{survey.present[0]}' is the only class in the {where}, so that there is nothing to tell apart; correct "
        "id_map or layout.colour_map."
    ]


def find_disjoint_classes(source: Survey, val: Survey) -> list[str]:
    """Explain that the labels of two splits have no class in common; empty if they have one, or no pixels."""
    one, other = source.present, val.present
    if not one or not other or set(one) & set(other):
        return []
    return [
        f"the labels of {source.split} hold {', '.join(one)} and those of {val.split} {', '.join(other)}, no class of "
        "both; correct the id_map of one of them."
    ]


def find_padding(survey: Survey, crop: tuple[int, int]) -> list[str]:
    """Explain that much of the crops is padding, because images are smaller; empty if it is not."""
    box = survey.split.dataset.size
    sizes = Counter(fitted_size(survey.headers[sample.image][:2], box) for sample in survey.samples)
    if not sizes:
        return []
    [((height, width), _)] = sizes.most_common(1)
    share = 1 - min(height, crop[0]) * min(width, crop[1]) / (crop[0] * crop[1])
    if share <= PADDED:
        return []
    return [
        f"crops of {crop[0]} x {crop[1]} from images of {height} x {width} ({survey.split}) are {100 * share:.0f} % "
        f"padding; lower data.crop to half of a picture, e.g. {half_crop((height, width))}, or raise "
        f"{survey.split.role}.size."
    ]


def find_oddities(surveys: Sequence[Survey]) -> list[str]:
    """List what is worth a warning and stops nothing."""
    found: list[str] = []
    for survey in surveys:
        for find in _ODDITIES:
            found += find(survey)
    return found + _find_shared(surveys)


def _few_files(survey: Survey) -> Iterator[str]:
    if survey.excluded:
        yield f"{len(survey.excluded)} images of {survey.split} are excluded, the first is {survey.excluded[0]}."
    if 0 < len(survey.samples) < FEW:
        yield f"{survey.split} has {count(len(survey.samples), 'image')} only."


def _unused_files(survey: Survey) -> Iterator[str]:
    if not survey.unused:
        return
    pattern, remedy = PurePath(survey.split.dataset.images), "they are not images"
    pictures = [path for path in survey.unused if path.suffix.lower() in SUFFIXES]
    others = [path for path in pictures if path.suffix != pattern.suffix]
    if others:
        remedy = f"for all suffixes set images={pattern.parent / '*'} and label_rule={{..., .*: .png}}"
    elif pictures:
        remedy = "correct it if they are meant"
    first = (others or pictures or survey.unused)[0]
    yield (
        f"{_count(survey.unused, 'file')} not used beside the images of {survey.split}, e.g. {first}: images="
        f"{survey.split.dataset.images} does not fit; {remedy}."
    )


def _unnamed_ids(survey: Survey) -> Iterator[str]:
    named, total = survey.split.dataset.labels.named, sum(survey.raw.values())
    unnamed = {} if named is None else {raw: count for raw, count in survey.raw.items() if raw not in named}
    if unnamed:
        yield (
            f"{_count(unnamed, 'id')} in no rule of id_map of {survey.split} and ignored, "
            f"{100 * sum(unnamed.values()) / total:.1f} % of the pixels: {_list_ids(unnamed)}."
        )


def _odd_pixels(survey: Survey) -> Iterator[str]:
    pixels, classes = survey.pixels, survey.split.dataset.classes
    ignored = float(pixels[classes.ignore]) / max(int(pixels.sum()), 1)
    if ignored > MUCH:
        yield f"{100 * ignored:.0f} % of the pixels of {survey.split} are ignored; check its id_map."
    absent = [name for name in classes.names if name not in survey.present]
    if survey.split.role == "source" and survey.raw and absent:
        yield f"no pixel of {', '.join(absent)} in the {len(survey.ids)} labels of {survey.split} that were read."


def _odd_labels(survey: Survey) -> Iterator[str]:
    headers = survey.headers
    labelled = [(image, label) for image, label in survey.samples if label is not None]
    other = [label for image, label in labelled if headers[image][:2] != headers[label][:2]]
    if other:
        yield (
            f"{len(other)} labels of {survey.split} have another size than their image and are resized by themselves, "
            f"the first is {other[0]}."
        )
    shared = len(labelled) - len({label for _, label in labelled})
    if shared:
        yield f"{shared} images of {survey.split} have the label of another image."


def _dark_images(survey: Survey) -> Iterator[str]:
    if not survey.deep or survey.split.dataset.layout.bits is not None:
        return
    dark = describe_dark(survey.deep, "layout.bits")
    if dark:
        yield f"{survey.split} {dark}"


def _animations(survey: Survey) -> Iterator[str]:
    moving = [path for path, header in survey.headers.items() if header.frames > 1]
    if moving:
        yield (
            f"{_count(moving, 'file')} of several frames in {survey.split}, of which the first is read, e.g. "
            f"{moving[0]} has {survey.headers[moving[0]].frames}."
        )


def _count(items: Collection[object], noun: str) -> str:
    return f"{len(items)} {noun}s are" if len(items) > 1 else f"1 {noun} is"


def _find_shared(surveys: Sequence[Survey]) -> list[str]:
    """Warn of images that are trained on with their labels and scored too."""
    images: dict[str, set[PurePath]] = {"source": set(), "val": set()}
    for survey in surveys:
        if survey.split.labelled and survey.split.role in images:
            images[survey.split.role] |= {sample.image.resolve() for sample in survey.samples}
    both = sorted(images["source"] & images["val"])
    if not both:
        return []
    return [f"{len(both)} images are in both source and val, the first is {both[0]}: scores on them mean little."]


def _list_ids(raw: Collection[int]) -> str:
    return ", ".join(map(str, sorted(raw)[:12])) + (", ..." if len(raw) > 12 else "")


_ODDITIES = (_few_files, _unused_files, _unnamed_ids, _odd_pixels, _odd_labels, _dark_images, _animations)
