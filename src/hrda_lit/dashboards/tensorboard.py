"""TensorBoard: numbers and pictures in the folder of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from hrda_lit.dashboards.dashboard import Dashboard, require_package

with require_package("tensorboard"):
    import tensorboard  # noqa: F401 - a missing one is reported before data are read


class TensorBoard(Dashboard, TensorBoardLogger):
    """TensorBoard's logger; what an interrupted run logged after its checkpoint is no longer shown."""

    def resume_state(self) -> dict[str, Any]:
        """Return nothing: the folder is enough."""
        return {}

    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue after `step` steps."""
        self._kwargs["purge_step"] = step

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""
        self.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")
