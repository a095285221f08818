"""Train on two processes and leave what each of them had: `python -m tests.end_to_end.two_ranks DATA RUN [die]`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch

from hrda_lit.system.errors import USER_ERRORS, format_error
from hrda_lit.train import train

from .compose import smoke

OVERRIDES = (
    "trainer.devices=2",
    "+trainer.strategy=ddp",
    "trainer.limit_val_batches=1.0",
    "callbacks.pictures.count=0",
    "callbacks.progress=null",
)


class Record(L.Callback):
    """Write gradients and teacher of every step, per rank; or die at the second."""

    def __init__(self, folder: str, die: bool) -> None:
        self.folder, self.die = Path(folder), die
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if self.die and trainer.global_step == 1 and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: Any, optimizer: Any) -> None:
        named = pl_module.student.named_parameters()
        self.gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        teacher = [p.clone() for p in pl_module.teacher.parameters()]
        torch.save((self.gradients, teacher), self.folder / f"rank{trainer.global_rank}.pt")


def main() -> None:
    data, run, *die = sys.argv[1:]
    config = smoke(Path(run), Path(data), "hrda_demo", *OVERRIDES, pictures=True)
    record = {"_target_": "tests.end_to_end.two_ranks.Record", "folder": run, "die": bool(die)}
    config.callbacks = {"record": record, **config.callbacks}
    try:
        train(config)
    except USER_ERRORS as error:
        print(f"error: {format_error(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
