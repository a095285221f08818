"""What loggers get, read back from offline W&B runs and TensorBoard files; the dashboard shows only what is there."""

import csv
import importlib.util
import json
import re
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import timm
import torch
from PIL import Image

from tests.commands import run
from tests.scripts import SCRIPTS

RARE = "data.rare_class={temperature:0.01,min_pixels:1,accept_ratio:1,max_tries:2}"
SMALL = (
    "trainer.max_steps=1",
    "trainer.val_check_interval=1",
    "trainer.limit_val_batches=1",
    "callbacks.confusion=null",
)
SCALARS = {
    *(f"train/loss/{name}" for name in ("source", "feature_distance", "mixed", "masked")),
    *(f"train/{name}" for name in ("pseudo/q", "lr/backbone", "lr/head", "grad_norm")),
    *(f"train/{name}" for name in ("teacher_distance", "throughput", "memory")),
    "val/miou",
    "val/iou/road",
    "train/class_probability/road",
}
PICTURES = {"train/pictures/0", "val/pictures/0", "val/pictures/confusion_matrix"}
# Pictures of W&B by key: the masks and boxes of each.
TRAINED = {
    "source": ({"source label"}, {"detail"}),
    "target": ({"pseudo-label"}, set()),
    "mixed": ({"mixed label"}, {"detail"}),
    "masked": ({"masked label"}, {"detail"}),
    "q": (set(), set()),
    "weight": (set(), set()),
    "masked_weight": (set(), set()),
}
VALIDATED = {
    "image": ({"label", "context", "detail", "fused"}, set()),
    "attention": (set(), set()),
    "error": (set(), set()),
}


class Offline(NamedTuple):
    """An offline W&B run as W&B's own command reads it."""

    files: Path
    run: dict[str, Any]
    config: dict[str, Any]
    history: dict[str, Any]  # last value by key


def train(folder: Path, demo_root: Path, *overrides: str) -> None:
    """Train on the demo domains with a cache beside the folder of the run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{name}_DIR", str(folder.parent / "wandb"))
        places = [f"data_root={demo_root}", f"cache_dir={folder.parent}/cache", "experiment=mic_demo", "debug=smoke"]
        done = run("hrda_lit.train", *overrides, *places, "prepare_data=null", cwd=folder.parent)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    """Train once with every logger, and return the folder of the run."""
    root = tmp_path_factory.mktemp("logged")
    # Made up, but with them the run has a feature distance to log.
    weights = root / "weights.pth"
    torch.save(timm.create_model("resnet10t", channels=(32, 64, 96, 128), stem_width=16).state_dict(), weights)
    loggers = ("logger=[wandb,tensorboard,mlflow,trackio]", "logger.wandb.mode=offline")
    feature_distance = (f"network.backbone.weights={weights}", "lambda_fd=0.005")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_TRACKING_URI", f"file:{root}/mlflow")
        patch.setenv("TRACKIO_DIR", str(root / "trackio"))
        train(root / "run", demo_root, *loggers, *feature_distance, RARE, "callbacks.pictures.every=1",
              f"hydra.run.dir={root}/run")  # fmt: skip
    return root / "run"


def read(run_dir: Path) -> Offline:
    [folder] = (run_dir / "wandb").glob("offline-run-*")
    told = run("wandb", "leet", "inspect", "--json", folder)
    assert told.returncode == 0, told.stderr
    records = [json.loads(line) for line in told.stdout.splitlines()]
    first = next(record["run"] for record in records if record["type"] == "run")
    config: dict[str, Any] = {}
    history: dict[str, Any] = {}
    for record in records:
        if record["type"] == "config":
            config |= record["config"].get("update", {})
        if record["type"] == "history":
            history |= record["history"]["item"]
    return Offline(folder / "files", first, config, history)


def dashboard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wandb_dashboard", SCRIPTS / "wandb_dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_offline_run_holds_all_that_is_promised(logged: Path) -> None:
    seen = read(logged)

    assert seen.run["display_name"] == "mic_demo"
    assert set(seen.history) >= SCALARS
    with open(logged / "metrics.csv") as file:
        last = [row for row in csv.DictReader(file) if row["val/miou"]][-1]
    assert float(seen.history["val/miou"]) == pytest.approx(float(last["val/miou"]), rel=1e-6)
    for stage, pictures in (("train", TRAINED), ("val", VALIDATED)):
        for name, (masks, boxes) in pictures.items():
            check_pictures(seen, f"{stage}/pictures/{name}", masks, boxes)
    table = json.loads((seen.files / seen.history["val/confusion_matrix_table.path"]).read_text())
    counted = sum(pixels for _, _, pixels in table["data"])
    with open(logged / "confusion" / "step_2.csv") as file:
        rows = list(csv.reader(file))[1:]
    assert counted == sum(int(cell) for row in rows for cell in row[1:]) > 0
    assert (seen.files / seen.history["val/pictures/confusion_matrix.path"]).is_file()
    assert seen.config["method"]["masked"]["ratio"] == 0.7
    assert seen.config["tau"] == 0.968
    assert seen.config["code"]["version"]
    check_dashboard(seen)


def check_pictures(seen: Offline, key: str, masks: set[str], boxes: set[str]) -> None:
    names = seen.history[f"{key}.filenames"]
    assert len(names) == seen.history[f"{key}.count"] > 0
    for name in names:
        with Image.open(seen.files / name) as image:
            assert image.size == (seen.history[f"{key}.width"], seen.history[f"{key}.height"])
    for kind, wanted in (("all_masks", masks), ("all_boxes", boxes)):
        entries = seen.history.get(f"{key}.{kind}", [{}])
        for entry in entries:
            assert set(entry) == wanted, (key, kind)
            assert all((seen.files / item["path"]).is_file() for item in entry.values())


def check_dashboard(seen: Offline) -> None:
    """Every key of every panel was logged, and nothing that is promised is left out."""
    script = dashboard()
    classes = [key.removeprefix("val/iou/") for key in seen.history if key.startswith("val/iou/")]
    workspace = script.workspace("someone", "hrda_lit", classes)
    assert workspace._to_model().model_dump()["entity"] == "someone"  # what would be sent
    shown = {key for section in workspace.sections for panel in section.panels for key in script.keys(panel)}
    logged = {re.sub(r"\.(filenames|path)$", "", key) for key in seen.history}
    # A class that no source label holds has no probability of being drawn.
    never_drawn = {f"train/class_probability/{name}" for name in classes}
    assert shown - logged - never_drawn == {"val/iou/.*"}
    pictures = {f"train/pictures/{name}" for name in TRAINED} | {f"val/pictures/{name}" for name in VALIDATED}
    assert shown >= SCALARS | pictures | {"val/confusion_matrix_table"}


def test_jobs_of_a_sweep_are_runs_of_one_group_named_by_what_was_swept(tmp_path: Path, demo_root: Path) -> None:
    folder = tmp_path / "night"
    offline = ["logger=wandb", "logger.wandb.mode=offline", "callbacks.pictures=null", *SMALL]
    train(folder, demo_root, "-m", *offline, "lambda_d=0,0.1", f"hydra.sweep.dir={folder}")
    runs = [read(folder / str(index)).run for index in range(2)]
    assert [run["display_name"] for run in runs] == ["lambda_d=0", "lambda_d=0.1"]
    assert [run["run_group"] for run in runs] == ["night", "night"]
    assert len({run["run_id"] for run in runs}) == 2


def test_disabled_wandb_writes_nothing_and_what_was_not_asked_for_is_not_imported(
    tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    for package in ("mlflow", "trackio"):
        (tmp_path / f"{package}.py").write_text("raise SystemExit('imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    train(folder, demo_root, "logger=wandb", "logger.wandb.mode=disabled", *SMALL, f"hydra.run.dir={folder}")
    assert not list(folder.glob("wandb/*run*"))
    assert (folder / "metrics.csv").is_file()


def test_tensorboard_gets_the_same_numbers_and_pictures(logged: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags = EventAccumulator(str(logged / "tensorboard")).Reload().Tags()
    assert set(tags["scalars"]) >= SCALARS
    assert "hp_metric" not in tags["scalars"]
    assert set(tags["images"]) >= PICTURES


def test_mlflow_and_trackio_get_the_same_numbers_and_pictures(logged: Path) -> None:
    assert logged_by_mlflow(logged.parent / "mlflow") >= SCALARS | PICTURES
    assert logged_by_trackio(logged.parent / "trackio") >= SCALARS | PICTURES


def logged_by_mlflow(store: Path) -> set[str]:
    [folder] = store.glob("*/*/metrics")
    numbers = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pictures = {path.name.split("+")[0].replace("~", "/") for path in folder.parent.glob("artifacts/images/*.png")}
    return numbers | pictures


def logged_by_trackio(store: Path) -> set[str]:
    with sqlite3.connect(store / "hrda_lit.db") as opened:
        rows = opened.execute("select metrics from metrics").fetchall()
    return {key for (numbers,) in rows for key in json.loads(numbers)}


def test_the_report_on_a_sweep_names_what_was_swept() -> None:
    script = dashboard()
    grid = script.report("someone", "hrda_lit", "night").blocks[-1]
    assert [runs.filters for runs in grid.runsets] == ["Group == 'night'"]
    found = {key for panel in grid.panels for key in script.keys(panel)}
    assert found >= {"lambda_d", "tau", "s_T", "val/miou", "train/pseudo/q"}
