"""A callback that ends a run in the middle of its fourth step."""

from typing import Any

import lightning as L


class Kill(L.Callback):
    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == 3:
            raise RuntimeError("killed")
