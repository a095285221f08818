"""Evaluate: `python -m hrda_lit.evaluate checkpoint=last.ckpt`; every key of conf/evaluate.yaml can be set there."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from hrda_lit.data.configs import each
from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_evaluate

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hrda_lit.checkpoints.load import Trained
    from hrda_lit.data.draws import ValImages
    from hrda_lit.inference.base import Inference
    from hrda_lit.inspecting.data_check import DataCheck
    from hrda_lit.tables.breakdown import Breakdown

log = logging.getLogger(__name__)


def evaluate(config: DictConfig) -> float:
    """Score one network on every data set: check, predict, report.

    Args:
        config: the composed tree.

    Returns:
        The mIoU on the first data set, a fraction.

    Raises:
        ValueError: if a key, the checkpoint or a file does not fit.
        FileNotFoundError: if the checkpoint or data are missing.
    """
    if OmegaConf.is_missing(config, "checkpoint"):
        raise ValueError("there is nothing to evaluate; give checkpoint=latest, or a file.")
    check_evaluate(config)
    # Imported here, so that --help, shell completion and what is refused above need not wait for torch.
    from hrda_lit.checkpoints.load import choose_device, load_trained
    from hrda_lit.checkpoints.locate import locate_here
    from hrda_lit.inspecting.data_check import DataCheck
    from hrda_lit.system.process import at_full_speed

    config.checkpoint = locate_here(config.checkpoint)
    device = choose_device(config.device)
    trained = load_trained(config.checkpoint, config.model, device, config.weights)
    inference = _inference(config, trained)
    look = DataCheck.of(config)
    sets = _images(config, trained, look, inference.scales)
    with at_full_speed(device):
        breakdowns = {key: _count(trained, inference, images, config) for key, images in sets.items()}
    return _report(config, trained, sets, breakdowns)


def _inference(config: DictConfig, trained: "Trained") -> "Inference":
    return trained.inference if config.inference is None else trained.other_inference(config.inference)


def _images(
    config: DictConfig, trained: "Trained", look: "DataCheck | None", scales: Sequence[float]
) -> "dict[str, ValImages]":
    """List and look over the files of every data set, before the first is predicted."""
    from hrda_lit.build import build_dataset
    from hrda_lit.data.draws import ValImages
    from hrda_lit.data.mixed import data_splits
    from hrda_lit.inspecting.data_check import require_good_data

    sets, default = {}, trained.config.splits.val
    nodes = _nodes(config, trained)
    if strange := sorted(set(map(str, config.splits)) - set(nodes)):
        raise ValueError(f"splits has the keys {strange}, which no data set has; it may have {sorted(nodes)}.")
    for key, node in nodes.items():
        dataset = build_dataset(node, key)
        if dataset.classes.names != trained.classes.names:
            raise ValueError(
                f"{config.checkpoint} knows the classes {list(trained.classes.names)} and {dataset.name} has "
                f"{list(dataset.classes.names)}, need the same; give another data set or checkpoint."
            )
        split = config.splits.get(key, default)
        require_good_data([*data_splits(key, dataset, split, labelled=True)], look)
        samples = dataset.files(split, labelled=True)
        sets[key] = ValImages(dataset, samples, trained.network.downscale, scales=scales)
    return sets


def _nodes(config: DictConfig, trained: "Trained") -> dict[str, DictConfig]:
    before = str(trained.config.data_root)
    if config.data_root is None:
        config.data_root = before
    nodes = {} if config.val is None else {"val": config.val}
    nodes |= {str(key): node for key, node in config.datasets.items()}
    if not nodes and trained.config.val is None:
        raise ValueError(
            f"{config.checkpoint} was trained without a validation set; name one, e.g. dataset@val=cityscapes."
        )
    if not nodes:
        nodes["val"] = trained.config.val
        # Stored with their paths in training, which may lie elsewhere by now.
        for node in each(nodes["val"]):
            root = str(node.root)
            node.root = root.replace(before, str(config.data_root), 1) if root.startswith(before) else root
    return nodes


def _count(
    trained: "Trained", inference: "Inference", images: "ValImages", config: DictConfig
) -> "dict[str, Breakdown]":
    """Count the pixels of all images, for each view of the network."""
    import torch
    from torch.utils.data import DataLoader

    from hrda_lit.data.loaders import worker_options
    from hrda_lit.system.progress import counted
    from hrda_lit.tables.breakdown import Breakdown, find_structure

    breakdowns: dict[str, Breakdown] = {}
    device = next(trained.network.parameters()).device
    classes = images.dataset.classes
    loader: DataLoader[Any] = DataLoader(images, batch_size=1, **worker_options(config.workers))
    with torch.inference_mode():
        for item in counted(loader, f"predicting {images.dataset.name}"):
            item = _on(device, item)
            label = item["label"][0]
            where = find_structure(label, classes)
            for name, made in _predictions(trained, inference, item, config.views).items():
                breakdowns.setdefault(name, Breakdown(classes, device)).update(made.long(), label, where)
    return breakdowns


def _on(device: "torch.device", item: dict[str, Any]) -> dict[str, Any]:
    """Return what is predicted of an item, on a device."""
    from hrda_lit.data.draws import ready

    moved = {key: item[key].to(device) for key in ("image", "label")}
    return ready(moved | {"scaled": [image.to(device) for image in item.get("scaled", ())]})


def _predictions(trained: "Trained", inference: "Inference", item: dict[str, Any], every: bool) -> "dict[str, Tensor]":
    """Predict the label of an image, by view; of one that needs no resizing, as its rows are finished."""
    import torch

    from hrda_lit.inference.base import Original
    from hrda_lit.ops.decide import best
    from hrda_lit.ops.finite import require_finite

    labels: dict[str, Tensor] = {}
    image, size = item["image"], (item["label"].shape[-2], item["label"].shape[-1])
    original = Original(item["scaled"], size) if item["scaled"] else None
    if original is None and image.shape[-2:] == size:
        for top, name, rows in inference.strips(trained.network, image, every):
            require_finite(rows)
            if name not in labels:
                labels[name] = torch.empty(size, dtype=torch.uint8, device=image.device)
            labels[name][top : top + rows.shape[-2]] = rows.argmax(dim=1)[0]
        return labels
    seen = (trained.network, image, original)
    views = inference.views(*seen) if every else {"fused": inference(*seen)}
    for name, logits in views.items():
        if name != "attention":
            require_finite(logits)
            labels[name] = best(logits, size)[0]
    return labels


def _report(
    config: DictConfig, trained: "Trained", sets: "dict[str, ValImages]", counts: "dict[str, dict[str, Breakdown]]"
) -> float:
    """Write all results, then print the tables: what a terminal cannot show costs no evaluation."""
    from pathlib import Path

    from hrda_lit.inference.iou import class_iou, mean_iou
    from hrda_lit.runs.folder import open_run
    from hrda_lit.system.files import write_atomically
    from hrda_lit.system.table import as_text, show
    from hrda_lit.tables import scores as tables

    folder, classes, name = Path(config.run_dir), trained.classes, trained.config.name
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
    open_run(config)
    write_atomically(folder / "report.txt", as_text(*pages).encode())
    tables.write_csv(folder / "metrics.csv", {**scores, **{key: {"fused": mean} for key, mean in means.items()}})
    first = class_iou(next(iter(counts.values()))["fused"].confusion)
    extra = {
        "name": next(iter(who.values())),
        "experiment": name,
        "kind": trained.config.get("kind"),
        "sets": {key: images.dataset.name for key, images in sets.items()},
        "checkpoint": str(config.checkpoint),
        "model": trained.model,
        "images": {key: len(images) for key, images in sets.items()},
        "objects": {key: views["fused"].size_objects for key, views in counts.items()},
        "datasets": scores,
        **means,
    }
    tables.write_metrics(folder / "metrics.json", first, classes, extra)
    show(*pages)
    log.info("report.txt, metrics.csv and metrics.json are in %s", folder)
    return mean_iou(first)


def _heading(key: str, sets: "dict[str, ValImages]") -> str:
    name = sets[key].dataset.name
    return name if [images.dataset.name for images in sets.values()].count(name) == 1 else key


@command("evaluate")
def main(config: DictConfig) -> float:
    """Run `evaluate`; its mIoU is the objective of a sweep."""
    return evaluate(config)


if __name__ == "__main__":
    main()
