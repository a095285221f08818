"""Write predictions to a folder, one file per picture and kind, each whole or absent."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from hrda_lit.predicting.inputs import Inputs, Item
from hrda_lit.predicting.predictor import Predictor
from hrda_lit.predicting.result import KINDS, VIEWS, Result, encode_kind
from hrda_lit.predicting.video import DamagedVideoError, VideoWriter, frame_rate
from hrda_lit.system.errors import format_error
from hrda_lit.system.files import SCRATCH, read_record, remove_stale, write_atomically, write_json
from hrda_lit.system.paths import below
from hrda_lit.system.progress import counted
from hrda_lit.system.text import printable

VIDEO = "video"  # the kind that is one file for all frames
RECORD = "predictions.json"
USUAL = ("label", "colour", "overlay")  # kinds for pictures where none are chosen


class Tally(NamedTuple):
    """Counts of pictures predicted, complete already and failed, and of other files skipped."""

    done: int
    complete: int
    failed: int
    skipped: int = 0


def output_paths(root: Path) -> list[Path]:
    """Return all files and folders that predictions may lie in."""
    return [root / name for name in (*KINDS, VIDEO, RECORD)]


class PredictionFolder:
    """Write predictions to <root>/<kind>/<name>.png, and a video's to <root>/video/<name>.mp4.

    Existing files are complete, so a stopped run resumes where it was; a video starts again.

    Args:
        root: folder to write to.
        kinds: kinds of files, see `KINDS`; or "video".
        palette: whether label files hold the colours of their ids; test servers want plain grey ones.

    Raises:
        ValueError: if a kind is unknown or there is none.
    """

    def __init__(self, root: Path, kinds: Sequence[str], palette: bool = True) -> None:
        known = [*KINDS, VIDEO]
        if not kinds or set(kinds) - set(known):
            raise ValueError(f"save={list(kinds)}: expected at least one of {known}; correct save.")
        self.root, self.kinds, self.palette = root, tuple(kinds), palette

    def refuse_other(self, settings: dict[str, Any]) -> None:
        """Reject a folder with predictions of other settings, which would pass for this run's.

        Raises:
            ValueError: if the folder holds predictions of another checkpoint or of other settings.
        """
        record = self.root / RECORD
        if record.is_file():
            found = read_record(record)
            keys = settings.keys() | found.keys()
            if other := sorted(key for key in keys if settings.get(key) != found.get(key)):
                raise ValueError(f"{self.root} holds predictions of another {' and '.join(other)}; set another output.")
        elif taken := [folder for folder in output_paths(self.root) if folder.exists()]:
            raise ValueError(f"{taken[0]} exists and no {RECORD} says what made it; set another output.")

    def begin(self, settings: dict[str, Any]) -> None:
        """Record the settings, and remove what a killed process left unfinished."""
        remove_stale(self.root.rglob(SCRATCH))
        write_json(self.root / RECORD, settings)

    def missing(self, name: str) -> list[str]:
        """Return the kinds of files that a picture lacks, without the video."""
        return [kind for kind in self.kinds if kind != VIDEO and not self.path(kind, name).is_file()]

    def require_video(self, inputs: Inputs) -> None:
        """Raise a ValueError if a video is to be written and the input is none."""
        if VIDEO in self.kinds and inputs.video is None:
            raise ValueError(
                f"save={VIDEO} needs a video as input, and {inputs.base} is none; give a video, or save=overlay."
            )

    def video(self, inputs: Inputs) -> VideoWriter | None:
        """Return a writer for the video; None if none is to be written, or it is complete."""
        if VIDEO not in self.kinds or inputs.video is None:
            return None
        path = below(self.root / VIDEO, f"{inputs.video.stem}.mp4", "the name of a prediction")
        return None if path.is_file() else VideoWriter(path, frame_rate(inputs.video))

    def path(self, kind: str, name: str) -> Path:
        """Return the file of a kind of prediction of a picture."""
        return below(self.root / kind, f"{name}.png", "the name of a prediction")

    def write(self, name: str, kinds: Sequence[str], result: Result, table: UInt8[Tensor, "256"]) -> None:
        """Write the files of one picture; `table` turns train ids into those of label files."""
        for kind in kinds:
            image = KINDS[kind](result, table)
            if kind == "label" and not self.palette:
                image = Image.fromarray(np.asarray(image))
            write_atomically(self.path(kind, name), encode_kind(image))


def predict_all(predictor: Predictor, inputs: Inputs, folder: PredictionFolder, ids: str) -> Tally:
    """Predict pictures that are not complete yet; one that fails is reported and does not stop the others.

    Raises:
        OSError: if a file cannot be written.
    """
    table, done, complete, failed = predictor.table(ids), 0, 0, list(inputs.refused)
    for sentence in failed:
        _report(sentence)
    with folder.video(inputs) or nullcontext() as video:
        try:
            for item in counted(inputs.items, "predicting", inputs.total):
                kinds = folder.missing(item.name)
                if not kinds and video is None:
                    complete += 1
                    continue
                result = _predict_item(predictor, item, kinds)
                if isinstance(result, str):
                    failed.append(_report(result))
                    continue
                folder.write(item.name, kinds, result, table)
                if video is not None:
                    video.add(np.concatenate([result.image, np.asarray(result.overlay())], axis=1))
                done += 1
        except DamagedVideoError as error:
            failed.append(_report(str(error)))
    return Tally(done, complete, len(failed), len(inputs.others))


def _report(sentence: str) -> str:
    print(f"error: {printable(sentence)}", file=sys.stderr)
    return sentence


def _predict_item(predictor: Predictor, item: Item, kinds: Sequence[str]) -> Result | str:
    try:
        views = bool(set(kinds) & set(VIEWS)) or ("figure" in kinds and predictor.has_views)
        return replace(predictor(item.read(), views=views), name=Path(item.source).name)
    except torch.OutOfMemoryError as error:
        return f"{item.source}: {format_error(error)}"
    except (ValueError, OSError, RuntimeError) as error:
        sentence = str(error).strip().splitlines()[0]
        return sentence if item.source in sentence else f"{item.source}: {sentence}"
