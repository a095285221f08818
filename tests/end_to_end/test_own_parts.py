"""A project of a user's own: method, head, encoder and dataset, each in one file, through every command."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hrda_lit
from hrda_lit import api
from tests.scripts import run_script

OWN = Path(__file__).parent / "own_parts"
NAMES = ("own_method.Mirrored", "own_head.TwoLevels", "own_encoder.OwnEncoder", "own_dataset.Indexed")


def write_data(root: Path, seed: int) -> None:
    """Write two images of 64 x 96 pixels with labels, and their index."""
    root.mkdir(parents=True)
    rng, index = np.random.default_rng(seed), []
    for number in range(2):
        ids = rng.integers(0, 4, size=(8, 12)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        pixels = (ids[..., None] * [60, 20, 80] + rng.integers(0, 20, (*ids.shape, 3))).astype(np.uint8)
        image, label = f"image{number}.png", f"label{number}.png"
        Image.fromarray(pixels).save(root / image)
        Image.fromarray(ids).save(root / label)
        index.append((image, label))
    (root / "index.json").write_text(json.dumps({"train": index, "val": index}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api.Run]:
    """Train with own parts alone, as a user in the folder of their project."""
    folder = tmp_path_factory.mktemp("project")
    for seed, role in enumerate(("source", "target")):
        write_data(folder / "data" / role, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(OWN))
        patch.setenv("HRDA_LIT_CACHE", str(folder / "cache"))
        patch.setenv("HRDA_LIT_TRUST", ",".join(NAMES))
        yield api.train("experiment=own", f"data_root={folder}/data", config_dir=OWN)


def test_training_writes_numbers_and_pictures(run: api.Run) -> None:
    with (run.folder / "metrics.csv").open(newline="") as file:
        head = next(csv.reader(file))
    assert {"train/loss/mirrored", "val/miou", "val/iou/[/box]"} <= set(head)
    assert {path.name for path in run.folder.glob("pictures/step_*/train_0.png")} == {"train_0.png"}
    assert len(list(run.folder.rglob("events.out.tfevents.*"))) == 1
    assert (run.metrics["name"], run.metrics["kind"]) == ("own", "generalisation")


def test_tables_and_curves(run: api.Run) -> None:
    table = run_script("results_table", run.folder)
    assert table.returncode == 0, table.stderr
    assert "[/box]" in table.stdout
    assert "own" in run_script("results_table", run.folder, "--markdown").stdout
    curves = run_script(
        "plot_curves", run.folder / "curves.png", run.folder, "--numbers", "val/miou", "train/loss/mirrored"
    )
    assert curves.returncode == 0, curves.stderr


def test_evaluating_and_predicting(run: api.Run) -> None:
    scores = api.evaluate(f"checkpoint={run.checkpoint}")
    assert scores.metrics["kind"] == "generalisation"
    assert scores.metrics["val/iou"] == pytest.approx(run.metrics["val/iou"], abs=1e-6)
    assert "generalisation" in run_script("results_table", "--targets", scores.folder).stdout
    done = api.predict(
        f"checkpoint={run.checkpoint}", "input=data/target/image0.png", "output=out", "save=[label,figure]"
    )
    assert done.done == 1
    assert {path.parent.name for path in Path("out").rglob("*.png")} == {"label", "figure"}


def test_handing_on(run: api.Run) -> None:
    exported = run_script("export_onnx", run.checkpoint, "own.onnx", "--size", 64, 96)
    assert exported.returncode == 0, exported.stderr
    saved = run_script("save_for_hub", run.checkpoint, "published")
    assert saved.returncode == 0, saved.stderr
    card = Path("published/README.md").read_text()
    assert "Mirrored" in card
    assert "adapted" not in card
    picture = np.array(Image.open("data/target/image0.png"))
    one, other = (hrda_lit.Predictor(path, device="cpu")(picture) for path in (run.checkpoint, "published"))
    assert (one.label == other.label).all()


def test_its_checkpoint_is_refused_until_its_parts_are_allowed(run: api.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = hrda_lit.load_module(run.checkpoint)
    assert type(module.method).__name__ == "Mirrored"
    for missing in range(len(NAMES)):
        allowed = [name for index, name in enumerate(NAMES) if index != missing]
        monkeypatch.setenv("HRDA_LIT_TRUST", ",".join(allowed))
        with pytest.raises(ValueError, match=NAMES[missing]):
            hrda_lit.load(run.checkpoint)
    assert torch.load(run.checkpoint, weights_only=True)["hrda_lit_config"]["kind"] == "generalisation"
