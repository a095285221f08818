"""The folder of predictions: one file per picture and kind, each whole or absent."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from hrda_lit.pictures.figures import encode
from hrda_lit.predicting.result import KINDS, Result
from hrda_lit.predicting.video import AddFrame, Video, write_video
from hrda_lit.system.files import SCRATCH, read_record, remove_stale, write_atomically, write_json
from hrda_lit.system.paths import below

VIDEO = "video"  # the kind that is one file for all frames
FOLDERS = (*KINDS, VIDEO)
RECORD = "predictions.json"


class PredictionFolder:
    """Write predictions to <root>/<kind>/<name>.png, and a video's to <root>/video/<name>.mp4.

    Existing files are complete, so a stopped run resumes where it was; a video starts again. `kinds` are
    of `FOLDERS`; label files have a `palette` of their ids' colours, but test servers want plain grey.

    Raises:
        ValueError: if a kind is unknown or there is none.
    """

    def __init__(self, root: Path, kinds: Sequence[str], palette: bool = True) -> None:
        if not kinds or set(kinds) - set(FOLDERS):
            raise ValueError(f"save={list(kinds)}: expected at least one of {list(FOLDERS)}; correct save.")
        self.root, self.kinds, self.palette = root, tuple(kinds), palette

    def refuse_other(self, settings: dict[str, Any]) -> None:
        """Reject a folder with predictions of other settings, which would pass for this run's.

        Raises:
            ValueError: if the folder holds predictions of another checkpoint or of other settings.
        """
        record = self.root / RECORD
        if record.is_file():
            found = read_record(record)
            both = sorted(settings.keys() | found.keys())
            other = [key for key in both if settings.get(key) != found.get(key)]
            if other:
                keys = " and ".join(other)
                raise ValueError(f"{self.root} holds predictions of another {keys}; set another output.")
            return
        for folder in (self.root / kind for kind in FOLDERS):
            if folder.exists():
                raise ValueError(f"{folder} exists and no {RECORD} says what made it; set another output.")

    def begin(self, settings: dict[str, Any]) -> None:
        """Record the settings, and remove what a killed process left unfinished."""
        remove_stale(self.root.rglob(SCRATCH))
        write_json(self.root / RECORD, settings)

    def missing(self, name: str) -> list[str]:
        """Return the kinds of files that a picture lacks, without the video."""
        return [kind for kind in self.kinds if kind != VIDEO and not self.path(kind, name).is_file()]

    def open_video(self, video: Video | None) -> AbstractContextManager[AddFrame | None]:
        """Open the prediction of a video, see `write_video`; None if it is not wanted or complete."""
        if VIDEO not in self.kinds or video is None:
            return nullcontext()
        path = below(self.root / VIDEO, f"{video.path.stem}.mp4", "the name of a prediction")
        return nullcontext() if path.is_file() else write_video(path, video.rate)

    def path(self, kind: str, name: str) -> Path:
        """Return the file of a kind of prediction of a picture."""
        return below(self.root / kind, f"{name}.png", "the name of a prediction")

    def write(self, name: str, kinds: Sequence[str], result: Result, table: UInt8[Tensor, "256"]) -> None:
        """Write the files of one picture; `table` turns train ids into those of label files."""
        for kind in kinds:
            image = KINDS[kind](result, table)
            if kind == "label" and not self.palette:
                image = Image.fromarray(np.asarray(image))
            write_atomically(self.path(kind, name), encode(image))


def is_output(path: Path, base: Path) -> bool:
    """Return whether a file below `base` was predicted, or records what made such files."""
    if path.name == RECORD:
        return True
    folders = [folder for folder in path.parents if folder.name in FOLDERS and folder != base]
    return any((folder.parent / RECORD).is_file() for folder in folders if folder.is_relative_to(base))
