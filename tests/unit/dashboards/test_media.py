"""What loggers are sent: tables whose columns stay apart, whatever classes are called."""

from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn

from hrda_lit.dashboards.media import send_confusion
from hrda_lit.data.classes import Classes


class Table:
    """A logger that takes tables and keeps the last one."""

    rows: list[dict[str, Any]]

    def tabulate(self, name: str, rows: list[dict[str, Any]], step: int) -> None:
        self.rows = rows


def test_a_class_may_be_called_as_the_column_of_labels() -> None:
    table = Table()
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    trainer = SimpleNamespace(loggers=[table], is_global_zero=True, global_step=3, state=state)
    classes = Classes(("label", "prediction"), ((0, 0, 0), (255, 255, 255)))
    send_confusion(cast(L.Trainer, trainer), torch.tensor([[1, 2], [3, 4]]), classes, b"")
    assert [list(row.values()) for row in table.rows] == [["label", 1, 2], ["prediction", 3, 4]]
