"""A run that goes on equals one that was never stopped, bit for bit, and says what it does differently."""

import csv
import errno
import json
import logging
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.pretrained_reference import KEY
from hrda_lit.train import train

from .compose import UNSEEN, compose, smoke

STEPS = (
    "trainer.max_steps=4", "trainer.val_check_interval=2", "trainer.limit_val_batches=1", "callbacks.pictures=null",
    "callbacks.progress=null", "callbacks.confusion=null",
)  # fmt: skip
KILL = "+callbacks.kill._target_=tests.end_to_end.kill.Kill"


def content(folder: Path, name: str = "last") -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return loaded


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = content(folder)["state_dict"]
    return state


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if "throughput" not in k and "memory" not in k}
                for row in csv.DictReader(file)]  # fmt: skip


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    """Return the folder of a run that was killed in its fourth step."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    with pytest.raises(RuntimeError, match="killed"):
        train(smoke(folder, demo_root, "hrda_demo", *STEPS, KILL))
    assert content(folder)["global_step"] == 2
    return folder


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "run"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(smoke(folder, demo_root, "hrda_demo", *STEPS))
    return folder


def check_equal(whole: Path, again: Path) -> None:
    a, b = weights(whole), weights(again)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert rows(whole) == rows(again)
    assert (whole / "metrics.json").read_text() == (again / "metrics.json").read_text()


def test_a_run_goes_on_in_its_own_folder(run: Path, whole: Path, demo_root: Path) -> None:
    train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto", "loading.num_workers=1"))
    check_equal(whole, run)


def test_a_run_goes_on_in_another_folder(killed: Path, whole: Path, tmp_path: Path, demo_root: Path) -> None:
    other = tmp_path / "other"
    train(smoke(other, demo_root, "hrda_demo", *STEPS, f"resume={killed}/checkpoints/last.ckpt"))
    check_equal(whole, other)


def test_a_damaged_checkpoint_is_named_and_passed_over(
    run: Path, whole: Path, demo_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = run / "checkpoints" / "last.ckpt"
    last.unlink()
    shutil.copy(run / "checkpoints" / "best.ckpt", last)
    with zipfile.ZipFile(last) as file:
        record = max(file.infolist(), key=lambda info: info.file_size)
    flipped = bytearray(last.read_bytes())
    flipped[record.header_offset + record.file_size // 2] ^= 255
    last.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"last\.ckpt"):
        train(smoke(run, demo_root, "hrda_demo", *STEPS, f"resume={last}"))
    train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto"))
    assert any("passed over" in line and str(last) in line for line in caplog.messages)
    check_equal(whole, run)


def test_a_checkpoint_that_cannot_be_read_now_is_not_replaced(
    run: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr("hrda_lit.system.torch_files._check_records", fail)
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read .*Input/output error"):
        train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto"))
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_without_a_whole_checkpoint_it_starts_from_the_beginning(run: Path, whole: Path, demo_root: Path) -> None:
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto"))
    check_equal(whole, run)


def test_other_values_are_told_applied_and_recorded(
    whole: Path, tmp_path: Path, demo_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    more = (
        "optim.lr=0.002",
        "optim.warmup=0",
        "optim.power=1",
        "trainer.max_steps=7",
        "trainer.val_check_interval=3",
        "resume=auto",
    )
    train(smoke(run, demo_root, "hrda_demo", *STEPS, *more))
    [line] = [line for line in caplog.messages if "resumed from" in line]
    assert "after step 4, now with " in line
    assert "optim.lr 0.01 -> 0.002" in line
    assert "trainer.max_steps 4 -> 7" in line
    assert "\n" not in line
    rates = [float(row["train/lr/backbone"]) for row in rows(run)]
    assert rates[4:] == pytest.approx([0.002 * (1 - t / 7) for t in (4, 5, 6)])
    assert [row["step"] for row in rows(run)] == [str(step) for step in range(7)]
    assert [row["step"] for row in rows(run) if row["val/miou"]] == ["1", "3", "5", "6"]
    assert content(run)[CONFIG_KEY]["optim"]["lr"] == 0.002
    assert "lr: 0.002" in (run / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.head.channels=8", r"network\.head\.channels 16 -> 8"),
        ("s_T=1", "s_T 2 -> 1"),
        ("method=supervised validate=student", r"method\._target_"),
    ],
)
def test_what_cannot_be_applied_is_refused(override: str, told: str, run: Path, demo_root: Path) -> None:
    before = (run / "checkpoints" / "last.ckpt").read_bytes(), (run / "metrics.csv").read_bytes()
    with pytest.raises(ValueError, match=told):
        train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto", *override.split()))
    assert before == ((run / "checkpoints" / "last.ckpt").read_bytes(), (run / "metrics.csv").read_bytes())


def test_a_run_that_has_done_more_steps_is_refused(run: Path, demo_root: Path) -> None:
    with pytest.raises(ValueError, match=r"has done 2 steps, and trainer\.max_steps is 1; raise it") as caught:
        train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto", "trainer.max_steps=1"))
    assert "\n" not in str(caught.value)


def test_another_optimiser_is_refused(run: Path, demo_root: Path) -> None:
    with pytest.raises(ValueError, match=r"need the moments of this optim \(momentum_buffer\)"):
        train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto", "optim=sgd"))


def test_a_complete_run_in_another_folder_has_its_checkpoint_there(
    whole: Path, tmp_path: Path, demo_root: Path
) -> None:
    train(smoke(tmp_path / "other", demo_root, "hrda_demo", *STEPS, f"resume={whole}"))
    check_equal(whole, tmp_path / "other")


@pytest.mark.parametrize("strange", ["weights", "optimizer_states", "loops", "global_step", "networks"])
def test_a_checkpoint_of_something_else_is_one_sentence(strange: str, run: Path, demo_root: Path) -> None:
    saved = content(run)
    if strange == "weights":
        saved["state_dict"].popitem()
    elif strange == "networks":
        saved = {key: saved[key] for key in ("state_dict", CONFIG_KEY)}
    else:
        saved[strange] = type(saved[strange])()
    path = run / "checkpoints" / "strange.ckpt"
    torch.save(saved, path)
    with pytest.raises(ValueError, match=r"does not fit|does not hold|no training to resume") as caught:
        train(smoke(run, demo_root, "hrda_demo", *STEPS, f"resume={path}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("before", ["validation", "table"])
def test_a_run_that_was_killed_at_its_very_end_is_scored(
    before: str, whole: Path, tmp_path: Path, demo_root: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    (run / "metrics.json").unlink()
    if before == "validation":
        saved = content(run)
        saved["hrda_lit_scores"]["scored"] = 2
        torch.save(saved, run / "checkpoints" / "last.ckpt")
    score = train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto"))
    assert score == json.loads((whole / "metrics.json").read_text())["val/miou"]
    check_equal(whole, run)
    changed = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}
    assert train(smoke(run, demo_root, "hrda_demo", *STEPS, "resume=auto")) == score
    assert changed == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}


def test_the_last_step_is_saved_and_scored_whatever_the_interval(tmp_path: Path, demo_root: Path) -> None:
    train(smoke(tmp_path, demo_root, "hrda_demo", *STEPS, "trainer.max_steps=3"))
    assert content(tmp_path)["global_step"] == 3
    assert json.loads((tmp_path / "metrics.json").read_text())["step"] == 3
    assert [row["step"] for row in rows(tmp_path) if row["val/miou"]] == ["1", "2"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_weights_that_are_not_finite_do_not_replace_good_ones(tmp_path: Path, demo_root: Path) -> None:
    train(smoke(tmp_path, demo_root, "hrda_demo", *STEPS, "trainer.max_steps=2"))
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(FloatingPointError) as caught:
        train(smoke(tmp_path, demo_root, "hrda_demo", *STEPS, "resume=auto", "optim.lr=1e38", "optim.warmup=0"))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before


def test_loggers_go_on(tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "wandb"))
    run, board = (
        tmp_path / "run",
        "{_target_:hrda_lit.dashboards.tensorboard.TensorBoard,save_dir:${run_dir},name:'',version:tb}",
    )
    asked = [*STEPS, "logger=wandb", "logger.wandb.mode=offline", f"+logger.tensorboard={board}",
             "logger.wandb.overrides=[]", f"logger.wandb.sweep_dir={tmp_path}/none"]  # fmt: skip
    with pytest.raises(RuntimeError, match="killed"):
        train(smoke(run, demo_root, "hrda_demo", *asked, KILL))
    wandb.finish()
    train(smoke(run, demo_root, "hrda_demo", *asked, "resume=auto"))
    wandb.finish()
    parts = sorted(path.name for path in (run / "wandb").glob("offline-run-*"))
    assert len(parts) >= 1
    assert len({name.rsplit("-", 1)[-1] for name in parts}) == 1  # one run
    events = EventAccumulator(str(run / "tb")).Reload().Scalars("train/loss/source")
    assert [event.step for event in events] == [0, 1, 2, 3]


SEVERAL = (
    "dataset@source=mixed", "+dataset@source.sets.game=gta5", "+dataset@source.sets.street=cityscapes",
    "+source.weights={game: 2}",
)  # fmt: skip


def foundation(experiment: str, tune: str, *marks: pytest.MarkDecorator) -> Any:
    """Return how a foundation encoder is trained, with a reference to its pretrained weights in the checkpoint."""
    small = (
        "debug=smoke_vit",
        "network.backbone.weights=${data_root}/vit.safetensors",
        f"network.backbone.tune={tune}",
    )
    return pytest.param((f"experiment=foundation/{experiment}", *small), id=f"{experiment} {tune}", marks=marks)


@pytest.fixture(scope="module")
def root(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo beside the weights of a tiny transformer."""
    root = tmp_path_factory.mktemp("root") / "demo"
    root.mkdir()
    for folder in demo_root.iterdir():
        (root / folder.name).symlink_to(folder)
    sizes = {"depth": 4, "embed_dim": 48, "num_heads": 3, "img_size": 56}
    save_file(Backbone("vit_small_patch14_dinov2", options=sizes).model.model.state_dict(), root / "vit.safetensors")
    return root


@pytest.mark.parametrize(
    "settings",
    [
        ("loading.batch_size=1", "loading.accumulate=2"),
        foundation("self_training_dinov2_base", "lora"),
        foundation("source_only_dinov2_base", "frozen", pytest.mark.thorough),
        pytest.param(("method=adversarial", "validate=student"), id="adversarial"),
        pytest.param(SEVERAL, id="several", marks=pytest.mark.thorough),
        pytest.param(("method=generalise", "validate=student"), id="generalise", marks=pytest.mark.thorough),
        pytest.param(("method=minent", "validate=student"), id="minent", marks=pytest.mark.thorough),
    ],
)
def test_whatever_a_run_is_made_of_it_goes_on_from_its_last_whole_step(
    settings: tuple[str, ...], tmp_path: Path, root: Path
) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    chosen = () if settings[0].startswith("experiment=") else ("experiment=hrda_demo", "debug=smoke")
    asked = (*chosen, "prepare_data=null", *UNSEEN, *STEPS, *settings)
    train(compose(whole, root, *asked))
    with pytest.raises(RuntimeError, match="killed"):
        train(compose(again, root, *asked, KILL))
    assert content(again)["global_step"] == 2
    assert (KEY in content(again)) == any("tune=" in one for one in settings)
    train(compose(again, root, *asked, "resume=auto"))
    check_equal(whole, again)
    assert str(content(whole)["optimizer_states"]) == str(content(again)["optimizer_states"])
