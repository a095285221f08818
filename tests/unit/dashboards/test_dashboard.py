"""What dashboards are sent: any crops of any pass, and tables whose columns stay apart."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image

from hrda_lit.dashboards.dashboard import Dashboard
from hrda_lit.dashboards.pictures import ConfusionMatrix, Pictures, crop_scene
from hrda_lit.dashboards.run_name import swept_overrides
from hrda_lit.data.classes import CITYSCAPES, Classes
from hrda_lit.methods.base import LoggedCrops


class Kept(Dashboard):
    """A dashboard that keeps what it gets."""

    def __init__(self) -> None:
        self.pictures: dict[str, tuple[int, int]] = {}
        self.lines: Any = []

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        self.pictures[name] = picture.size

    def show_table(self, name: str, lines: Any, step: int) -> None:
        self.lines = lines


@pytest.fixture
def trainer() -> Any:
    datamodule = SimpleNamespace(file_name=lambda domain, index: f"/{domain}/{index}.png")
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    return SimpleNamespace(
        loggers=[Kept(), object()], is_global_zero=True, global_step=3, state=state, datamodule=datamodule
    )


def crops(count: int, size: int, weight: bool) -> LoggedCrops:
    label = torch.zeros(count, size, size, dtype=torch.long)
    return LoggedCrops(torch.zeros(count, 3, size, size), label, torch.ones(count, size, size) if weight else None)


def test_a_class_may_be_called_as_the_column_of_labels(trainer: Any, tmp_path: Path) -> None:
    classes = Classes(("label", "prediction"), ((0, 0, 0), (255, 255, 255)))
    counts = torch.tensor([[1, 2], [3, 4]])
    module = SimpleNamespace(counts=counts, classes=classes, iou=torch.ones(2), config={"name": "x"})
    ConfusionMatrix(str(tmp_path)).on_validation_end(trainer, cast(L.LightningModule, module))
    kept = trainer.loggers[0]
    head, *rows = kept.lines
    assert len(set(head)) == 3
    assert rows == [["label", 1, 2], ["prediction", 3, 4]]
    assert list(kept.pictures) == ["val/pictures/confusion_matrix"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_3.csv", "step_3.png"]


@pytest.mark.parametrize("names", [["rotated"], ["source", "rotated"], ["a b/c", "[/x]"]])
def test_crops_of_any_pass_are_drawn(names: list[str], trainer: Any, tmp_path: Path) -> None:
    logged = {name: crops(2 + index, 16 * (1 + index), weight=True) for index, name in enumerate(names)}
    batch = {"source": {"file": torch.tensor([5, 6])}}
    module = SimpleNamespace(crops=logged, classes=CITYSCAPES, config={"name": "x"})
    Pictures(str(tmp_path), every=1).on_train_batch_end(trainer, cast(L.LightningModule, module), None, batch, 0)
    assert module.crops is None
    assert list(trainer.loggers[0].pictures) == ["train/pictures/0", "train/pictures/1"]
    assert sorted(path.name for path in (tmp_path / "step_2").iterdir()) == ["train_0.png", "train_1.png"]


def test_layers_are_named_by_their_pass() -> None:
    logged = {"target": crops(1, 8, True), "mixed": crops(1, 8, True), "source": crops(1, 8, False)}
    logged["mine"] = crops(1, 8, True)
    files = {"source": "a.png"}
    scenes = {name: crop_scene(name, one, 0, files.get(name, "")) for name, one in logged.items()}
    assert {name: list(scene.layers) for name, scene in scenes.items()} == {
        "target": ["pseudo-label", "q"],
        "mixed": ["mixed label", "weight"],
        "source": ["source label"],
        "mine": ["mine label", "mine_weight"],
    }
    assert [scene.caption for scene in scenes.values()] == ["q = 100.0 %", "", "a.png", ""]


@pytest.mark.parametrize("content", [b"", b"\xff", b"- 1", b"{", b"hydra: {overrides: 3}"])
def test_a_damaged_record_of_a_sweep_leaves_all_overrides(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_bytes(content)
    assert swept_overrides(["seed=1"], tmp_path) == ["seed=1"]
