"""Score a network on datasets; tables of IoU per class, metrics.json and metrics.csv."""

import logging
import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from hrda_lit.checkpoints.load import Trained
from hrda_lit.data.classes import Classes
from hrda_lit.data.draws import ready
from hrda_lit.data.loaders import worker_options
from hrda_lit.data.reading import ValImages
from hrda_lit.inference.base import Inference, Original, predict_labels
from hrda_lit.inference.iou import class_iou, logged_means, mean_iou, mean_ious
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.system.files import write_atomically, write_json
from hrda_lit.system.progress import track
from hrda_lit.system.table import Table, as_csv, as_text, show
from hrda_lit.tables.breakdown import Breakdown, find_structure

log = logging.getLogger(__name__)

# E.g. {"iou": {"road": 0.9}}; fractions, NaN where nothing occurs.
Measures = Mapping[str, Mapping[str, float]]
_ROWS = {
    "border_miou": "mIoU {} from a border",
    "size_miou": "mIoU of things {}",
    "size_recall": "recall of things {}",
}

LONGEST = 12  # rows of classes that fit on a screen; more stand in several columns
MOST_COLUMNS = 4  # that fit on a screen side by side


def iou_measures(iou: Float[Tensor, " C"], classes: Classes) -> dict[str, dict[str, float]]:
    """Name the IoU of each class ("iou"; NaN if absent) and their means ("miou", by the set of classes)."""
    return {
        "iou": dict(zip(classes.names, iou.tolist(), strict=True)),
        "miou": mean_ious(iou, classes.names),
    }


def breakdown_measures(breakdown: Breakdown, classes: Classes) -> dict[str, dict[str, float]]:
    """Add mIoU by distance from a class border, and mIoU and recall of things by size, to `iou_measures`."""
    measures = iou_measures(class_iou(breakdown.confusion), classes)
    measures["border_miou"] = breakdown.border_miou
    measures["size_miou"] = breakdown.size_miou
    measures["size_recall"] = breakdown.size_recall
    return measures


def mean_over(sets: Mapping[str, Measures]) -> Measures:
    """Average measures over the datasets that have the class; NaN if none has it."""
    means: dict[str, dict[str, float]] = {}
    for measure, values in next(iter(sets.values())).items():
        means[measure] = {}
        for name in values:
            known = [one[measure][name] for one in sets.values() if not math.isnan(one[measure][name])]
            means[measure][name] = sum(known) / len(known) if known else math.nan
    return means


def score_table(title: str, columns: Mapping[str, Measures]) -> Table:
    """Lay measures out in percent, one section each."""
    table = Table(["class", *columns], title)
    for measure, values in next(iter(columns.values())).items():
        row = _ROWS.get(measure, "{}")
        for name in values:
            cells = [_percent(column[measure][name]) for column in columns.values()]
            table.add(row.format(name), *cells)
        table.end_section()
    return table


def iou_table(iou: Float[Tensor, " C"], classes: Classes, title: str) -> Table:
    """Lay out IoU per class and their means in percent; many classes stand in several columns."""
    columns = min(math.ceil(len(classes) / LONGEST), MOST_COLUMNS)
    table = Table(["class", "IoU %"] * columns, title)
    for values in iou_measures(iou, classes).values():
        cells = [(name, _percent(value)) for name, value in values.items()]
        rows = math.ceil(len(cells) / columns)
        for row in range(rows):
            table.add(*chain.from_iterable(cells[row::rows]))
        table.end_section()
    return table


def write_metrics(path: Path, iou: Float[Tensor, " C"], classes: Classes, extra: dict[str, Any]) -> None:
    """Write mIoU and IoU per class as fractions, and further entries; what does not occur is null."""
    means, per_class = logged_means(iou, classes.names), iou_measures(iou, classes)["iou"]
    write_json(path, _without_nan({**means, "val/iou": per_class, **extra}))


def write_csv(path: Path, scores: Mapping[str, Mapping[str, Measures]]) -> None:
    """Write metrics.csv, one line per number, a fraction; empty if nothing occurs."""
    lines: list[tuple[str | float, ...]] = [("dataset", "prediction", "measure", "name", "value")]
    for dataset, predictions in scores.items():
        for prediction, measures in predictions.items():
            for measure, values in measures.items():
                lines += [(dataset, prediction, measure, *item) for item in values.items()]
    write_atomically(path, as_csv(lines))


def _percent(value: float) -> str:
    return "absent" if math.isnan(value) else f"{100 * value:.1f}"


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    return None if content != content else content


def count_images(
    network: Segmentor, inference: Inference, images: ValImages, workers: int, every: bool
) -> dict[str, Breakdown]:
    """Count the pixels of all images by view: the fused prediction; with `every`, also context and detail."""
    counts: dict[str, Breakdown] = {}
    device, classes = next(network.parameters()).device, images.dataset.classes
    loader: DataLoader[Any] = DataLoader(images, batch_size=1, **worker_options(workers))
    with torch.inference_mode():
        for item in track(loader, f"predicting {images.dataset.name}"):
            scaled = [image.to(device) for image in item.get("scaled", ())]
            moved = ready({"image": item["image"].to(device), "scaled": scaled})
            label = item["label"][0].to(device).long()
            size = (label.shape[-2], label.shape[-1])
            original = Original(moved["scaled"], size) if scaled else None
            structure = find_structure(label, classes)
            views = predict_labels(inference, network, moved["image"], size, original, every)
            for view, ids in views.items():
                counts.setdefault(view, Breakdown(classes, device)).update(ids.long(), label, structure)
    return counts


def write_report(
    folder: Path,
    trained: Trained,
    checkpoint: str,
    sets: Mapping[str, ValImages],
    counts: Mapping[str, Mapping[str, Breakdown]],
) -> float:
    """Write report.txt, metrics.csv and metrics.json, print tables, return the first dataset's mIoU."""
    classes, name = trained.classes, trained.config.name
    scores = {}
    for key, views in counts.items():
        scores[key] = {view: breakdown_measures(one, classes) for view, one in views.items()}
    who = {key: f"{name}, {trained.model}, on {images.dataset.name}" for key, images in sets.items()}
    pages = [score_table(f"{who[key]}, {len(sets[key])} images, %", scores[key]) for key in scores]
    fused: dict[str, Measures] = {key: views["fused"] for key, views in scores.items()}
    means: dict[str, Measures] = {}
    if len(fused) > 1:
        means["mean"] = mean_over(fused)
        side_by_side = {_heading(key, sets): measures for key, measures in fused.items()}
        pages.append(score_table(f"{name}, {trained.model}, %", {**side_by_side, **means}))
    write_atomically(folder / "report.txt", as_text(*pages).encode())
    write_csv(folder / "metrics.csv", {**scores, **{key: {"fused": mean} for key, mean in means.items()}})
    first = class_iou(next(iter(counts.values()))["fused"].confusion)
    extra = {
        "name": next(iter(who.values())),
        "experiment": name,
        "kind": trained.config.get("kind"),
        "sets": {key: images.dataset.name for key, images in sets.items()},
        "checkpoint": checkpoint,
        "model": trained.model,
        "images": {key: len(images) for key, images in sets.items()},
        "objects": {key: views["fused"].size_objects for key, views in counts.items()},
        "datasets": scores,
        **means,
    }
    write_metrics(folder / "metrics.json", first, classes, extra)
    show(*pages)
    log.info("report.txt, metrics.csv and metrics.json are in %s", folder)
    return mean_iou(first)


def _heading(key: str, sets: Mapping[str, ValImages]) -> str:
    name = sets[key].dataset.name
    return name if [images.dataset.name for images in sets.values()].count(name) == 1 else key
