"""The official evaluator of Cityscapes gives the same IoU on predictions that are written with raw ids."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813
from PIL import Image
from torchmetrics.classification import MulticlassConfusionMatrix

from hrda_lit.data.classes import CITYSCAPES, raw_table
from hrda_lit.data.folder import FolderDataset
from hrda_lit.inference.iou import class_iou, mean_iou


def test_iou_of_every_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = FolderDataset("cs", str(tmp_path), "*.png", {".png": "_label.png"}, "cityscapes", "cityscapes")
    table = raw_table("cityscapes", CITYSCAPES).numpy()
    confusion = MulticlassConfusionMatrix(19, ignore_index=255)
    pairs = []
    for index in range(3):
        label, noise = rng.integers(0, 34, (40, 60), dtype=np.uint8), rng.integers(0, 19, (40, 60), dtype=np.uint8)
        files = [tmp_path / f"{index}_{what}.png" for what in ("label", "prediction")]
        Image.fromarray(label).save(files[0])
        truth = dataset.labels.read(files[0])
        guess = np.where((truth.numpy() < 19) & (rng.random(label.shape) < 0.6), truth.numpy(), noise)
        Image.fromarray(table[guess]).save(files[1])
        confusion.update(torch.from_numpy(guess).long()[None], truth.long()[None])
        pairs.append(files)
    official.args.evalInstLevelScore, official.args.quiet, official.args.JSONOutput = False, True, False
    theirs = official.evaluateImgLists([str(b) for _, b in pairs], [str(a) for a, _ in pairs], official.args)
    ours = class_iou(confusion.compute())
    assert theirs["averageScoreClasses"] == pytest.approx(mean_iou(ours), abs=1e-12)
    for name, value in zip(CITYSCAPES.names, ours.tolist(), strict=True):
        assert theirs["classScores"][name] == pytest.approx(value, abs=1e-7)
