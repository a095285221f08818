"""Tables of the data: files, sizes and modes, and the share of each class."""

from collections import Counter
from collections.abc import Iterable, Sequence

from hrda_lit.inspecting.survey import Survey
from hrda_lit.system.table import Table


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
