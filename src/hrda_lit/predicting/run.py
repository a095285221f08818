"""Predict all pictures of an input into a folder."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from hrda_lit.predicting.inputs import Inputs, Item
from hrda_lit.predicting.output import VIDEO, PredictionFolder
from hrda_lit.predicting.predictor import Predictor
from hrda_lit.predicting.result import VIEWS
from hrda_lit.predicting.video import AddFrame, DamagedVideoError
from hrda_lit.system.errors import format_error, is_out_of_memory
from hrda_lit.system.progress import track
from hrda_lit.system.text import printable

USUAL = ("label", "colour", "overlay")  # kinds for images where none are chosen


class Tally(NamedTuple):
    """Counts of pictures predicted, complete already and failed, and of other files skipped."""

    done: int
    complete: int
    failed: int
    skipped: int = 0


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
