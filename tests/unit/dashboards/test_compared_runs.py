"""MLflow and Trackio, each with a store in a folder: numbers, pictures, tables, config, and runs that go on."""

import csv
import importlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from wandb.errors import CommError

from hrda_lit.config.nodes import flatten
from hrda_lit.config.values import check
from hrda_lit.dashboards.dashboard import Dashboard
from hrda_lit.dashboards.mlflow_run import MlflowRun
from hrda_lit.dashboards.run_name import name_run
from hrda_lit.dashboards.wandb_run import WandbRun
from hrda_lit.runs.loggers import Resumable, resume_loggers, resume_states

pytestmark = pytest.mark.slow

CONFIG = {"tau": 0.9, "val": {"label_rule": {"images/": "labels/"}}, "optim": {"betas": [0.9, 0.999]}}
LINES = [["label", "road", "a, b"], ["road", 3, 1], ["a, b", 0, 2]]
ROWS = [dict(zip(LINES[0], line, strict=True)) for line in LINES[1:]]
TRACKIO = "hrda_lit.dashboards.trackio_run"
PICTURE = Image.new("RGB", (8, 6), "red")


@pytest.fixture(scope="module", autouse=True)
def stores(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes seconds to make
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))  # read when it is imported first
        for loaded in [name for name in sys.modules if name.split(".")[0] == "trackio" or name == TRACKIO]:
            patch.delitem(sys.modules, loaded)
        yield


def mlflow(folder: Path, name: str = "hrda") -> MlflowRun:
    return MlflowRun(name, str(folder / "run"), [], str(folder / "sweep"), "mine", f"file:{folder}/store")


def trackio(folder: Path, name: str = "hrda") -> Any:
    return trackio_run()(name, str(folder / "run"), [], str(folder / "sweep"), folder.name)


def trackio_run() -> Any:
    """Return the class, imported once the store is chosen."""
    return importlib.import_module(TRACKIO).TrackioRun


def wandb(folder: Path) -> WandbRun:
    return WandbRun("hrda", str(folder / "run"), [], str(folder / "sweep"), "offline")


def log(logger: Any, steps: range, config: dict[str, Any] = CONFIG) -> None:
    """Log what a training does."""
    logger.log_hyperparams(config)
    for step in steps:
        logger.log_metrics({"val/miou": step / 8, "epoch": 0}, step)
    logger.show_picture("val/pictures/0", PICTURE, steps[-1])
    logger.show_table("val/confusion_matrix", LINES, steps[-1])
    logger.finalize("success")


def test_mlflow_has_all_of_a_run_that_went_on(tmp_path: Path) -> None:
    first = mlflow(tmp_path)
    log(first, range(2))
    second = mlflow(tmp_path, "another name")
    resume_loggers([second], 2, resume_states([first]))
    log(second, range(2, 4), {**CONFIG, "tau": 0.8, "new": 1})

    client = second.experiment
    [run] = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.run_name == "hrda"
    assert run.info.status == "FINISHED"
    assert [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "val/miou")] == [
        (step, step / 8) for step in range(4)
    ]
    assert run.data.params["tau"] == "0.9"  # set once
    assert run.data.params["new"] == "1"
    assert run.data.params["val.label_rule.images_"] == "labels/"
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert "tau: 0.8" in (folder / "config.yaml").read_text()
    pictures = [path for path in (folder / "images").glob("*.png") if path.name.startswith("val~pictures~0")]
    assert len(pictures) == 2
    assert Image.open(pictures[0]).size == (8, 6)
    with (folder / "val" / "confusion_matrix" / "step_3.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{key: str(value) for key, value in row.items()} for row in ROWS]


def test_trackio_has_all_of_a_run_that_went_on(tmp_path: Path) -> None:
    first = trackio(tmp_path)
    log(first, range(2))
    second = trackio(tmp_path, "another name")
    resume_loggers([second], 2, resume_states([first]))
    log(second, range(2, 4), {**CONFIG, "tau": 0.8})

    from trackio.sqlite_storage import SQLiteStorage
    from trackio.utils import MEDIA_DIR

    with sqlite3.connect(SQLiteStorage.get_project_db_path(tmp_path.name)) as store:
        rows = store.execute("select run_id, run_name, step, metrics from metrics order by id").fetchall()
        [(config,)] = store.execute("select config from configs").fetchall()
    assert {name for _, name, _, _ in rows} == {"hrda run"}
    assert len({identity for identity, _, _, _ in rows}) == 1
    logged = [(step, json.loads(numbers)) for _, _, step, numbers in rows]
    assert [(step, one["val/miou"]) for step, one in logged if "val/miou" in one] == [
        (step, step / 8) for step in range(4)
    ]
    pictures = [one["val/pictures/0"]["file_path"] for _, one in logged if "val/pictures/0" in one]
    assert len(pictures) == 2
    assert Image.open(MEDIA_DIR / pictures[0]).size == (8, 6)
    tables = [one["val/confusion_matrix"]["_value"] for _, one in logged if "val/confusion_matrix" in one]
    assert tables == [ROWS, ROWS]
    known = json.loads(config)
    assert known["tau"] == 0.8
    assert known["val.label_rule.images/"] == "labels/"


def test_mlflow_takes_classes_of_any_name(tmp_path: Path) -> None:
    logger = mlflow(tmp_path)
    names = {"道路": "道路", "a|b": "a_b", "..": "_", "c//d": "c/_/d", "50 %": "50 _", "é": "é"}
    logger.log_metrics({f"val/iou/{name}": 0.5 for name in names}, 3)
    logged = logger.experiment.get_run(logger.run_id).data.metrics
    assert logged == {f"val/iou/{name}": 0.5 for name in names.values()}


def test_what_the_store_does_not_know_begins_anew(tmp_path: Path) -> None:
    logger = mlflow(tmp_path)
    resume_loggers([logger], 2, {"MlflowRun": {"id": "0" * 32}})
    logger.log_metrics({"val/miou": torch.tensor(0.5).item()}, 2)
    assert logger.run_id != "0" * 32
    resume_loggers([mlflow(tmp_path), trackio(tmp_path)], 2, {})  # a checkpoint of a run without them


def test_a_job_of_a_sweep_is_named_by_what_was_swept(tmp_path: Path) -> None:
    job, sweep = str(tmp_path / "night" / "0"), str(tmp_path / "night")
    assert name_run("hrda", job, ["tau=0.8", "seed=1"], sweep) == ("tau=0.8,seed=1", "night")
    assert name_run("hrda", str(tmp_path / "elsewhere"), ["tau=0.8"], sweep) == ("hrda", None)
    assert name_run("hrda", job, [f"source={'x' * 300}"], sweep)[0] == f"source={'x' * 73}… 0"
    run = trackio_run()("hrda", job, ["experiment=a/b"], sweep, "mine")
    assert run.version == "experiment=a_b night"  # a folder of pictures is called so
    logger = MlflowRun("hrda", job, ["tau=0.8"], sweep, "mine", f"file:{tmp_path}/store")
    tags = logger.experiment.get_run(logger.run_id).data.tags
    assert tags["sweep"] == "night"
    assert tags["mlflow.runName"] == "tau=0.8"


def test_what_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^logger\.mlflow\.tracking_uri=nowhere:x cannot be used \(.*; give a server"):
        MlflowRun("hrda", str(tmp_path), [], str(tmp_path), "mine", "nowhere:x")
    monkeypatch.setattr("huggingface_hub.whoami", fail)
    with pytest.raises(ValueError, match=r"^logger\.trackio\.space_id=me/x cannot be used \(no such host .*; remove"):
        trackio_run()("hrda", str(tmp_path), [], str(tmp_path), "mine", space_id="me/x")
    monkeypatch.setattr("wandb.login", fail)
    with pytest.raises(ValueError, match=r"^logger\.wandb\.mode=online cannot be used \(no such host .*mode=offline"):
        WandbRun("hrda", str(tmp_path), [], str(tmp_path), "online")


def test_a_deleted_project_of_mlflow_is_one_sentence(tmp_path: Path) -> None:
    client = mlflow(tmp_path).experiment
    client.delete_experiment(client.get_experiment_by_name("mine").experiment_id)
    with pytest.raises(ValueError, match=r"cannot be used \(.*deleted.*\); give a server"):
        mlflow(tmp_path)


@pytest.mark.parametrize("module", ["tensorboard", "mlflow_run", "wandb_run", "trackio_run"])
def test_a_missing_package_is_one_sentence(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = module.removesuffix("_run")
    monkeypatch.delitem(sys.modules, f"hrda_lit.dashboards.{module}", raising=False)
    for loaded in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, loaded, None)  # as if it were not installed
    with pytest.raises(ValueError, match=rf"logger={package} needs {package}[\w.]*; run: pip install {package}\."):
        check({"_target_": f"hrda_lit.dashboards.{module}.made", "save_dir": "x"}, Any, f"logger.{package}")


def test_a_server_of_wandb_that_does_not_answer_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wandb.init", fail)
    run = wandb(tmp_path)
    run.save()  # as Lightning does first
    with pytest.raises(ValueError, match=r"^W&B cannot start the run \(no such host while retrying\); mend that, or"):
        run.log_metrics({"val/miou": 0.5}, 1)


def test_a_store_of_mlflow_that_is_lost_amid_a_run_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logger = mlflow(tmp_path)
    logger.log_metrics({"val/miou": 0.5}, 1)
    monkeypatch.setattr(logger.experiment, "log_batch", fail)
    with caplog.at_level("WARNING", "hrda_lit"):
        for step in (2, 3):
            logger.log_metrics({"val/miou": 0.5}, step)
        monkeypatch.undo()
        logger.log_metrics({"val/miou": 0.5}, 4)  # not tried
        logger._paused_until = 1.0
        logger.log_metrics({"val/miou": 0.5}, 5)
    [record] = caplog.records
    assert record.message.startswith("MLflow does not take what this run logs (no such host while retrying); the run")
    history = logger.experiment.get_metric_history(logger.run_id, "val/miou")
    assert [one.step for one in history] == [1, 5]


def fail(*_: Any, **__: Any) -> None:
    raise CommError("no such host\nwhile retrying")


def test_both_can_do_what_is_asked_of_them(tmp_path: Path) -> None:
    for logger in (mlflow(tmp_path), trackio(tmp_path)):
        assert isinstance(logger, Resumable)
        assert isinstance(logger, Dashboard)
    assert flatten(CONFIG) == {"tau": 0.9, "val.label_rule.images/": "labels/", "optim.betas": [0.9, 0.999]}
