"""Pictures and matrices that cannot be written do not end a run."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from hrda_lit.dashboards.pictures import ConfusionMatrix, Pictures
from hrda_lit.dashboards.tensorboard import TensorBoard
from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.pictures.layers import Scene


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """Return a folder that cannot be made, because a file is in its way."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"


def test_a_matrix(blocked: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    trainer = SimpleNamespace(global_step=3, is_global_zero=True, loggers=[], state=state)
    counts = torch.eye(19, dtype=torch.long)
    module = SimpleNamespace(counts=counts, classes=CITYSCAPES, iou=torch.ones(19), config={"name": "x"})
    callback = ConfusionMatrix(str(blocked))
    for _ in range(2):
        callback.on_validation_end(trainer, module)
    [record] = caplog.records
    assert "confusion matrices cannot be written" in record.message


def test_a_picture(blocked: Path, caplog: pytest.LogCaptureFixture) -> None:
    callback = Pictures(str(blocked))
    for index in range(2):
        callback.draw(3, f"{index}", {"image": Scene(torch.zeros(3, 8, 8, dtype=torch.uint8))}, CITYSCAPES)
    [record] = caplog.records
    assert "pictures cannot be written" in record.message


def test_a_folder_of_tensorboard_is_refused_when_training_begins(blocked: Path) -> None:
    logger = TensorBoard(str(blocked), "", version="tensorboard", default_hp_metric=False)
    with pytest.raises(ValueError, match=r"^TensorBoard cannot start the run \(.*\); mend that, or set logger=csv"):
        logger.log_hyperparams({"tau": 0.9})
