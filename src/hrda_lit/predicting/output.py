"""The folder predictions are written to: one file per picture and kind, none of them ever half written."""

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
from hrda_lit.predicting.result import KINDS, VIEWS, Result, encoded
from hrda_lit.predicting.video import VideoWriter, frame_rate
from hrda_lit.system.errors import format_error
from hrda_lit.system.files import read_record, write_atomically, write_json
from hrda_lit.system.paths import below
from hrda_lit.system.progress import counted

VIDEO = "video"  # the kind that is one file for all frames
RECORD = "predictions.json"


class Tally(NamedTuple):
    """How many pictures were predicted, were complete already, and failed."""

    done: int
    complete: int
    failed: int


class PredictionFolder:
    """Write predictions to <root>/<kind>/<name>.png, and those of a video's frames to <root>/video/<name>.mp4.

    A file that is there is complete, so a run that was stopped goes on where it was; a video is begun again.

    Args:
        root: the folder.
        kinds: of files, see `KINDS`; or "video".
        palette: whether label files tell the colours of their ids; test servers want plain grey ones.

    Raises:
        ValueError: if a kind is unknown or there is none.
    """

    def __init__(self, root: Path, kinds: Sequence[str], palette: bool = True) -> None:
        known = [*KINDS, VIDEO]
        if not kinds or set(kinds) - set(known):
            raise ValueError(f"save={list(kinds)}: need at least one of {known} and nothing else; correct save.")
        self.root, self.kinds, self.palette = root, tuple(kinds), palette

    @property
    def folders(self) -> list[Path]:
        """Return the folders of all kinds, wanted or not."""
        return [self.root / kind for kind in (*KINDS, VIDEO)]

    def refuse_other(self, made_by: dict[str, Any]) -> None:
        """Refuse a folder of predictions that were made otherwise: they would pass for this run's.

        Args:
            made_by: what predictions depend on, as JSON knows it.

        Raises:
            ValueError: if the folder holds predictions of another checkpoint or of other settings.
        """
        record = self.root / RECORD
        if record.is_file():
            found = read_record(record)
            if other := sorted(key for key in made_by.keys() | found.keys() if made_by.get(key) != found.get(key)):
                raise ValueError(f"{self.root} holds predictions of another {' and '.join(other)}; set another output.")
        elif taken := [folder for folder in self.folders if folder.exists()]:
            raise ValueError(f"{taken[0]} exists and no {RECORD} says what made it; set another output.")

    def sign(self, made_by: dict[str, Any]) -> None:
        """Note what the predictions of this folder depend on."""
        write_json(self.root / RECORD, made_by)

    def missing(self, name: str) -> list[str]:
        """Return the kinds that are still to be written for a picture."""
        return [kind for kind in self.kinds if kind != VIDEO and not self.path(kind, name).is_file()]

    def require_video(self, inputs: Inputs) -> None:
        """Raise a ValueError if a video is wanted of what is none."""
        if VIDEO in self.kinds and inputs.video is None:
            raise ValueError(
                f"save={VIDEO} makes a video of a video, and {inputs.base} is none; give a video as input, or "
                "save=overlay."
            )

    def video(self, inputs: Inputs) -> VideoWriter | None:
        """Return what writes the video of a video; None where none is wanted, or it is complete."""
        if VIDEO not in self.kinds or inputs.video is None:
            return None
        path = below(self.root / VIDEO, f"{inputs.video.stem}.mp4", "the name of a prediction")
        return None if path.is_file() else VideoWriter(path, frame_rate(inputs.video))

    def path(self, kind: str, name: str) -> Path:
        """Return where a kind of prediction of a picture lies."""
        return below(self.root / kind, f"{name}.png", "the name of a prediction")

    def write(self, name: str, kinds: Sequence[str], result: Result, table: UInt8[Tensor, "256"]) -> None:
        """Write the files of one picture.

        Args:
            name: of the picture.
            kinds: which files.
            result: the prediction.
            table: train id to the id in label files.
        """
        for kind in kinds:
            made = KINDS[kind](result, table)
            if kind == "label" and not self.palette:
                made = Image.fromarray(np.asarray(made))
            write_atomically(self.path(kind, name), encoded(made))


def predict_all(predictor: Predictor, inputs: Inputs, folder: PredictionFolder, ids: str) -> Tally:
    """Predict what is not complete yet; a picture that fails is reported and does not stop the others.

    Args:
        predictor: predicts.
        inputs: the pictures.
        folder: where to.
        ids: in label files, see `Predictor.table`.

    Returns:
        What became of the pictures.

    Raises:
        OSError: if a file cannot be written.
    """
    table, done, complete, failed = predictor.table(ids), 0, 0, 0
    with folder.video(inputs) or nullcontext() as video:
        for item in counted(inputs.items, "predicting", inputs.total):
            kinds = folder.missing(item.name)
            if not kinds and video is None:
                complete += 1
            elif isinstance(result := _predicted(predictor, item, kinds), Result):
                folder.write(item.name, kinds, result, table)
                if video is not None:
                    video.add(np.concatenate([result.image, np.asarray(result.overlay())], axis=1))
                done += 1
            else:
                print(f"error: {result}", file=sys.stderr)
                failed += 1
    return Tally(done, complete, failed)


def _predicted(predictor: Predictor, item: Item, kinds: Sequence[str]) -> Result | str:
    try:
        result = predictor(
            item.read(), views=bool(set(kinds) & set(VIEWS)) or ("figure" in kinds and predictor.has_views)
        )
        return replace(result, name=Path(item.source).name)
    except torch.OutOfMemoryError as error:
        return f"{item.source}: {format_error(error)}"
    except (ValueError, OSError, RuntimeError) as error:
        sentence = str(error).strip().splitlines()[0]
        return sentence if item.source in sentence else f"{item.source}: {sentence}"
