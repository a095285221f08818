"""Predict all pictures of an input into a folder."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hrda_lit.predicting.inputs import Inputs, Item
from hrda_lit.predicting.output import VIDEO, PredictionFolder
from hrda_lit.predicting.predictor import Predictor
from hrda_lit.predicting.result import VIEWS, Result
from hrda_lit.predicting.video import DamagedVideoError
from hrda_lit.system.errors import format_error, is_out_of_memory
from hrda_lit.system.progress import counted
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
    table, done, complete, failed = predictor.table(ids), 0, 0, len(inputs.refused)
    for sentence in inputs.refused:
        _report(sentence)
    with folder.open_video(inputs.video) as add_frame:
        try:
            for item in counted(inputs.items, "predicting", inputs.total):
                kinds = folder.missing(item.name)
                if not kinds and add_frame is None:
                    complete += 1
                    continue
                result = _predict_item(predictor, item, kinds)
                if result is None:
                    failed += 1
                    continue
                folder.write(item.name, kinds, result, table)
                if add_frame is not None:
                    add_frame(np.concatenate([result.image, np.asarray(result.overlay())], axis=1))
                done += 1
        except DamagedVideoError as error:
            _report(str(error))
            failed += 1
    return Tally(done, complete, failed, len(inputs.others))


def _predict_item(predictor: Predictor, item: Item, kinds: Sequence[str]) -> Result | None:
    """Predict a picture; report why if it cannot be predicted, and return None."""
    views = bool(set(kinds) & set(VIEWS)) or ("figure" in kinds and predictor.has_views)
    try:
        return replace(predictor(item.read(), views=views), name=Path(item.source).name)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        first_line, *_ = (str(error).strip() or type(error).__name__).splitlines()
        sentence = format_error(error) if is_out_of_memory(error) else first_line
    _report(sentence if item.source in sentence else f"{item.source}: {sentence}")
    return None


def _report(sentence: str) -> None:
    print(f"error: {printable(sentence)}", file=sys.stderr)
