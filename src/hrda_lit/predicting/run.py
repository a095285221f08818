"""Predict all pictures of an input into a folder, and pack them for a test server if one is asked for."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from hrda_lit.build import build_dataset
from hrda_lit.checkpoints.hub import CONFIG, checksum
from hrda_lit.checkpoints.locate import locate
from hrda_lit.config.nodes import construct, to_plain
from hrda_lit.predicting.inputs import Inputs, Item, find_inputs
from hrda_lit.predicting.output import VIDEO, PredictionFolder
from hrda_lit.predicting.predictor import Predictor, check_ids
from hrda_lit.predicting.result import VIEWS
from hrda_lit.predicting.submission import Rules, check_classes, images_to_submit, pack
from hrda_lit.predicting.video import AddFrame, DamagedVideoError
from hrda_lit.system.errors import format_error, is_out_of_memory
from hrda_lit.system.process import at_full_speed, choose_device
from hrda_lit.system.progress import track
from hrda_lit.system.text import printable

USUAL = ("label", "colour", "overlay")  # kinds for images where none are chosen


class Tally(NamedTuple):
    """Counts of pictures predicted, complete already and failed, and of other files skipped."""

    done: int
    complete: int
    failed: int
    skipped: int = 0


def run(config: Any) -> Tally:
    """Predict as a checked tree of conf/predict.yaml says; for errors see `hrda_lit.predict.predict`."""
    rules = _rules(config)
    ids = rules.ids if rules else config.ids or "train"
    check_ids(ids)
    choose_device(config.device)
    checkpoint, digest = _find_checkpoint(config)
    inputs = _inputs(config, rules)
    kinds = ["label"] if rules else choose_kinds(config.save, inputs)
    folder = PredictionFolder(Path(config.output).expanduser(), kinds, palette=rules is None)
    settings = _settings(config, digest, ids, inputs)
    folder.refuse_other(settings)
    predictor = _load(config, checkpoint, rules, ids, kinds)
    folder.begin(settings)
    tally = _run(predictor, inputs, folder, ids, config.input or str(inputs.base))
    if rules and not tally.failed:
        labels = {f"{item.name}.png": folder.path("label", item.name) for item in inputs.items}
        print(pack(labels, folder.root / f"{rules.name}.zip", rules))
    return tally


def _rules(config: Any) -> Rules | None:
    if config.submission is None:
        return None
    keys = {str(key): value for key, value in to_plain(config.submission).items() if key != "dataset"}
    return construct(Rules, "submission", keys)


def _find_checkpoint(config: Any) -> tuple[Path, str]:
    """Return the path of the checkpoint and its checksum."""
    if config.checkpoint is None:
        raise ValueError("there is nothing to predict with; give checkpoint=latest, or a file.")
    path = locate(config.checkpoint)
    # The config of a hub's folder holds the checksum of its weights.
    file = path / CONFIG if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"no checkpoint at {file}; give a file that `hrda_lit.train` wrote.")
    return path, checksum(file)


def _inputs(config: Any, rules: Rules | None) -> Inputs:
    if bool(config.input) == bool(rules):
        raise ValueError("give either input=, an image, a folder, a glob or a video, or submission= with data_root=.")
    own = [key for key in ("save", "ids", "like", "bits") if config[key] is not None]
    if rules and own:
        raise ValueError(f"a submission follows its server and its dataset; remove {', '.join(own)}.")
    if config.like and config.size and config.ids != "raw":
        what = "like gives the box and the raw ids, and size replaces the box"
        raise ValueError(f"{what}; remove like, or set ids=raw.")
    if rules:
        [dataset] = build_dataset(config.submission.dataset, "submission.dataset").members
        return images_to_submit(dataset, rules)
    return find_inputs(config.input, config.bits)


def _settings(config: Any, digest: str, ids: str, inputs: Inputs) -> dict[str, Any]:
    """List what predictions depend on, so that those of another run are not taken for this one's."""
    settings = {
        "checkpoint": digest,
        "model": config.model,
        "ids": ids,
        "inference": config.inference and to_plain(config.inference),
        "input": str(inputs.base.resolve()),
        # The box of a submission follows from its name, and with it from the input.
        "size": config.size and list(config.size),
        "like": config.like and [config.like.get("name"), list(config.like.get("size") or ())],
    }
    return settings if config.bits is None else {**settings, "bits": config.bits}


def _load(config: Any, checkpoint: Path, rules: Rules | None, ids: str, kinds: list[str]) -> Predictor:
    """Load the network, and refuse before the first picture what it cannot do."""
    options = {key: config[key] for key in ("model", "device", "inference", "weights", "size")}
    predictor = Predictor(checkpoint, like=config.submission.dataset if rules else config.like, **options)
    if set(kinds) & set(VIEWS):
        predictor.require_views()
    if rules:
        check_classes(predictor.classes, rules)
    predictor.table(ids)
    _ = predictor.box
    return predictor


def _run(predictor: Predictor, inputs: Inputs, folder: PredictionFolder, ids: str, source: str) -> Tally:
    """Predict all pictures, and print what begins and how it ended."""
    count = "frames" if inputs.total is None else f"{inputs.total} picture{'s' * (inputs.total > 1)}"
    what = f"predicting {count} of {source} on {predictor.device}"
    print(printable(f"{what}: {', '.join(folder.kinds)} go to {folder.root}"), file=sys.stderr, flush=True)
    start = time.perf_counter()
    with at_full_speed(predictor.device):
        tally = predict_all(predictor, inputs, folder, ids)
    speed = f", {tally.done / (time.perf_counter() - start):.3g} images/s" if tally.done else ""
    counts = f"{tally.done} predicted, {tally.complete} complete already, {tally.failed} failed"
    print(f"{counts}: {printable(folder.root)}{speed}")
    return tally


def choose_kinds(save: str | Sequence[str] | None, inputs: Inputs) -> list[str]:
    """Return the kinds of files to write; where none are chosen, a video of a video and `USUAL` of images.

    Raises:
        ValueError: if a video of images is to be written.
    """
    if save is None:
        return [*USUAL] if inputs.video is None else [VIDEO]
    kinds = [save] if isinstance(save, str) else list(save)
    if VIDEO in kinds and inputs.video is None:
        raise ValueError(
            f"save={VIDEO} needs a video as input, and {inputs.base} is none; give a video, or save=overlay."
        )
    return kinds


def predict_all(predictor: Predictor, inputs: Inputs, folder: PredictionFolder, ids: str) -> Tally:
    """Predict pictures that are not complete yet; one that fails is reported and does not stop the others.

    Raises:
        OSError: if a file cannot be written.
    """
    table, counts = predictor.table(ids), Counter[str]()
    with folder.open_video(inputs.video) as add_frame:
        try:
            for item in track(inputs.items, "predicting", inputs.total):
                counts[_predict_item(predictor, item, folder, table, add_frame)] += 1
        except DamagedVideoError as error:
            counts[_fail(str(error))] += 1
    return Tally(counts["done"], counts["complete"], counts["failed"], inputs.skipped)


def _predict_item(
    predictor: Predictor, item: Item, folder: PredictionFolder, table: Tensor, add_frame: AddFrame | None
) -> str:
    """Predict a picture, write what is missing, and return whether it is done, complete or failed."""
    try:
        kinds = folder.missing(item.name)
        if not kinds and add_frame is None:
            return "complete"
        views = bool(set(kinds) & set(VIEWS)) or ("figure" in kinds and predictor.has_views)
        result = replace(predictor(item.read(), views=views), name=Path(item.source).name)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        first_line, *_ = (str(error).strip() or type(error).__name__).splitlines()
        sentence = format_error(error) if is_out_of_memory(error) else first_line
        return _fail(sentence if item.source in sentence else f"{item.source}: {sentence}")
    folder.write(item.name, kinds, result, table)
    if add_frame is not None:
        add_frame(np.concatenate([result.image, np.asarray(result.overlay())], axis=1))
    return "done"


def _fail(sentence: str) -> str:
    print(f"error: {printable(sentence)}", file=sys.stderr)
    return "failed"
