"""A run that something else than its last step ends says so, in words and in its records."""

import json
import logging
from pathlib import Path

import pytest

from hrda_lit.train import train

from .compose import smoke

pytestmark = pytest.mark.slow

FEW = ("callbacks.progress=null", "trainer.limit_val_batches=1", "trainer.val_check_interval=1")
PATIENCE = (
    "+callbacks.stop={_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/miou,mode:max,patience:1,"
    "min_delta:1}"
)


@pytest.mark.parametrize(
    ("who", "override", "steps"),
    [("EarlyStopping of val/miou", PATIENCE, 2), ("trainer.max_time", "+trainer.max_time={seconds: 0}", 0)],
)
def test_who_ended_it_is_said_and_recorded(
    who: str, override: str, steps: int, tmp_path: Path, demo_root: Path, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    train(smoke(tmp_path, demo_root, "hrda_demo", *FEW, "trainer.max_steps=9", override))
    ended = f"{who} ended it after {steps} of 9 steps"
    assert any(ended in line for line in caplog.messages)
    assert f"after {steps} of 9 steps" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["ended"], metrics["step"]) == (ended, steps)


def test_a_whole_run_says_nothing(tmp_path: Path, demo_root: Path) -> None:
    train(smoke(tmp_path, demo_root, "hrda_demo", *FEW, "trainer.max_steps=1"))
    assert json.loads((tmp_path / "metrics.json").read_text())["ended"] is None


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("callbacks.checkpoint.best=val/mIoU", "val/miou"),
        ("callbacks.checkpoint.best=target/entropie", "target/entropy"),
        (PATIENCE.replace("val/miou", "val/iou/rode"), "val/iou/road"),
    ],
)
def test_a_misspelt_number_is_found_before_the_run(override: str, near: str, tmp_path: Path, demo_root: Path) -> None:
    with pytest.raises(ValueError, match=f"did you mean {near}"):
        train(smoke(tmp_path / "run", demo_root, "hrda_demo", *FEW, override))
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.yaml"))
