"""A callback that ends a run before a step, its fourth unless told otherwise."""

from typing import Any

import lightning as L


class Kill(L.Callback):
    def __init__(self, step: int = 3) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("killed")
