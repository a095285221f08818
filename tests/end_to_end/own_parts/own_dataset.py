"""Someone else's dataset: an index in JSON in place of folders, and labels whose numbers begin at 1."""

import json
from pathlib import Path
from typing import Any

from hrda_lit.data.folder import FolderDataset, Sample

CLASSES = {"names": ["ground", "[/box]", "sky"], "colours": [[90, 60, 30], [220, 20, 60], [70, 130, 180]]}


class Indexed(FolderDataset):
    """Read the images that index.json lists by split.

    Args:
        root: folder with index.json, {split: [[image, label], ...]}.
        name: for messages and caches.
        size: (height, width) of the box that images are fitted into; None keeps them.
    """

    def __init__(self, root: str, name: str = "indexed", size: Any = None) -> None:
        super().__init__(name, root, "*.png", {}, CLASSES, {1: 0, 2: 1, 3: 2}, size)

    def pairs(self, split: str, labelled: bool) -> list[Sample]:
        """List the images of a split."""
        entries = json.loads((Path(self.root) / "index.json").read_text())[split]
        return [Sample(self.root / image, self.root / label if labelled else None) for image, label in entries]
