"""Score a network on datasets: count the pixels of all images, write and print what they come to."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from hrda_lit.checkpoints.load import Trained
from hrda_lit.data.draws import ValImages, ready
from hrda_lit.data.loaders import worker_options
from hrda_lit.inference.base import Inference, Original, predict_labels
from hrda_lit.inference.iou import class_iou, mean_iou
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.system import table
from hrda_lit.system.files import write_atomically
from hrda_lit.system.progress import counted
from hrda_lit.tables import scores as tables
from hrda_lit.tables.breakdown import Breakdown, find_structure

log = logging.getLogger(__name__)


def count_images(
    network: Segmentor, inference: Inference, images: ValImages, workers: int, every: bool
) -> dict[str, Breakdown]:
    """Count the pixels of all images of a dataset.

    Args:
        network: network to score.
        inference: how whole images are predicted.
        images: labelled images.
        workers: processes that load them.
        every: whether context and detail are counted beside the fused prediction.

    Returns:
        Counts by view.
    """
    counts: dict[str, Breakdown] = {}
    device, classes = next(network.parameters()).device, images.dataset.classes
    loader: DataLoader[Any] = DataLoader(images, batch_size=1, **worker_options(workers))
    with torch.inference_mode():
        for item in counted(loader, f"predicting {images.dataset.name}"):
            scaled = [image.to(device) for image in item.get("scaled", ())]
            moved = ready({"image": item["image"].to(device), "scaled": scaled})
            label = item["label"][0].to(device).long()
            size = (label.shape[-2], label.shape[-1])
            original = Original(moved["scaled"], size) if scaled else None
            structure = find_structure(label, classes)
            for view, ids in predict_labels(inference, network, moved["image"], size, original, every).items():
                counts.setdefault(view, Breakdown(classes, device)).update(ids.long(), label, structure)
    return counts


def write_report(
    folder: Path,
    trained: Trained,
    checkpoint: str,
    sets: Mapping[str, ValImages],
    counts: Mapping[str, Mapping[str, Breakdown]],
) -> float:
    """Write report.txt, metrics.csv and metrics.json, then print the tables.

    Args:
        folder: folder of the evaluation.
        trained: scored network.
        checkpoint: its file, for the record.
        sets: images by dataset.
        counts: counts by dataset and view.

    Returns:
        The mIoU on the first dataset, a fraction.
    """
    classes, name = trained.classes, trained.config.name
    scores = {
        key: {view: tables.breakdown_measures(one, classes) for view, one in views.items()}
        for key, views in counts.items()
    }
    who = {key: f"{name}, {trained.model}, on {images.dataset.name}" for key, images in sets.items()}
    pages = [tables.score_table(f"{who[key]}, {len(sets[key])} images, %", scores[key]) for key in scores]
    fused, means = {key: views["fused"] for key, views in scores.items()}, {}
    if len(fused) > 1:
        means = {"mean": tables.mean_over(fused)}
        side_by_side = {_heading(key, sets): measures for key, measures in fused.items()}
        pages.append(tables.score_table(f"{name}, {trained.model}, %", {**side_by_side, **means}))
    write_atomically(folder / "report.txt", table.as_text(*pages).encode())
    tables.write_csv(folder / "metrics.csv", {**scores, **{key: {"fused": mean} for key, mean in means.items()}})
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
    tables.write_metrics(folder / "metrics.json", first, classes, extra)
    table.show(*pages)
    log.info("report.txt, metrics.csv and metrics.json are in %s", folder)
    return mean_iou(first)


def _heading(key: str, sets: Mapping[str, ValImages]) -> str:
    name = sets[key].dataset.name
    return name if [images.dataset.name for images in sets.values()].count(name) == 1 else key
