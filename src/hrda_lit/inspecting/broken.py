"""Which images cannot be used as they are, and why."""

from collections import Counter

from hrda_lit.data.archives import is_file
from hrda_lit.data.folder import Sample
from hrda_lit.inspecting.survey import Survey

Fault = tuple[str, str]  # a kind, and one example in words


def faults(seen: Survey) -> dict[Sample, Fault]:
    """Say what is wrong with each image that cannot be used."""
    found = {sample: _fault(seen, sample) for sample in seen.samples}
    return {sample: fault for sample, fault in found.items() if fault is not None}


def refusal(seen: Survey, found: dict[Sample, Fault]) -> str:
    """Say in one sentence what is wrong with a part, with an example, counts and the remedy.

    Args:
        seen: the part.
        found: what is wrong with its images, at least one.
    """
    kinds = Counter(kind for kind, _ in found.values())
    _, example = next(iter(found.values()))
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return (
        f"{example.rpartition(';')[0] or example}; of the {len(seen.samples)} images of {seen.part}, {len(found)} "
        f"cannot be used ({counts}): correct them, name them in layout.exclude, or set data.skip_broken=true."
    )


def _fault(seen: Survey, sample: Sample) -> Fault | None:
    image = seen.headers[sample.image]
    if image.fault:
        return "broken", image.fault
    if sample.label is None:
        return None
    if not is_file(sample.label):
        return "without a label", f"{sample.image} has no label, {sample.label} does not exist;"
    label = seen.headers[sample.label]
    if label.fault:
        return "with a broken label", label.fault
    if isinstance(ids := seen.ids.get(sample.label), str):
        return "with strange ids", ids
    if label[:2] != image[:2] and seen.part.dataset.layout.sizes == "same":
        return "with a label of another size", (
            f"label {sample.label} has {label[:2]} pixels, its image {image[:2]}, where layout.sizes=differ would "
            "resize each by itself;"
        )
    return None
