"""TensorBoard: numbers and pictures in the folder of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from hrda_lit.dashboards.dashboard import Dashboard, connecting

with connecting("tensorboard"):
    import tensorboard  # noqa: F401 - a missing one is reported before data are read


class TensorBoard(Dashboard, TensorBoardLogger):
    """TensorBoard's logger; what an interrupted run logged after its checkpoint is no longer shown."""

    title, remedy = "TensorBoard", "set logger=csv"

    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue after `step` steps."""
        self._kwargs["purge_step"] = step

    def show_config(self, params: Mapping[str, Any]) -> None:
        """Show the config."""
        _ = self.experiment  # opens its file; Lightning would take a failure for a number that it cannot log
        super().show_config(params)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture."""
        self.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")
