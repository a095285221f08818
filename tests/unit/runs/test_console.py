"""Where a run is told: as a bar in a terminal, as plain lines elsewhere, in train.log in both."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch

from hrda_lit.module import UDAModule
from hrda_lit.runs import console
from hrda_lit.runs.console import ConsoleLog, Progress, duration, summarise

pytestmark = pytest.mark.slow


def test_numbers_in_short() -> None:
    numbers = {
        "train/loss/source": 1.23456,
        "train/loss/mixed": 0.5,
        "train/pseudo/q": 0.126,
        "train/lr/head": 1e-4,
        "val/miou": 0.3456,
    }
    said = summarise({name: torch.tensor(value) for name, value in numbers.items()})
    assert said == {"mIoU": "34.6", "source": "1.23", "mixed": "0.5", "q": "0.13"}


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (99, "99 s"), (170, "3 min"), (7500, "2 h 05 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_lines_come_with_the_first_step_every_so_many_and_the_last(
    make_module: Callable[[], UDAModule],
    fit: Callable[..., L.Trainer],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "describe_run", lambda *_: ["what it is made of"])
    caplog.set_level("INFO", "hrda_lit")
    fit(make_module(), 8, ConsoleLog(every=3))
    said = [record.getMessage() for record in caplog.records if record.name == console.__name__]
    assert said[0] == "what it is made of"
    assert [line.split()[1] for line in said[1:]] == ["1/8", "3/8", "6/8", "8/8"]
    assert all(re.search(r"source [\d.]+  mixed [\d.]+  q [\d.]+  \S+ steps/s  \d+ s left$", line) for line in said[1:])


def test_a_terminal_keeps_its_bar_and_the_file_gets_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hrda_lit")
    handler = logging.FileHandler(tmp_path / "train.log")
    monkeypatch.setattr(logging.getLogger(), "handlers", [*logging.getLogger().handlers, handler])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    console.log_line("step 1/8")
    handler.close()
    assert (tmp_path / "train.log").read_text() == "step 1/8\n"
    assert not caplog.records


def test_without_a_terminal_there_is_no_bar(
    make_module: Callable[[], UDAModule], fit: Callable[..., L.Trainer], capsys: pytest.CaptureFixture[str]
) -> None:
    fit(make_module(), 2, Progress(), enable_progress_bar=True)
    assert "2/2" not in capsys.readouterr().out


def test_the_bar_is_one_line_of_80_columns(
    make_module: Callable[[], UDAModule],
    fit: Callable[..., L.Trainer],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("hrda_lit.runs.console.summarise", lambda _: {"source": "1.234  " * 19})
    fit(make_module(), 3, Progress(refresh_rate=1000), enable_progress_bar=True)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    bars = {line.strip() for line in re.split(r"(?=training)|[\r\n]+", shown) if line.startswith("training")}
    full = [line for line in bars if "source: 1.234" in line]
    assert any("3/3" in line for line in full)
    assert all(len(line) <= 80 and "/3" in line for line in full)


def test_a_resumed_run_is_counted_from_its_first_step(
    make_module: Callable[[], UDAModule], fit: Callable[..., L.Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    counted: list[tuple[float, float | None]] = []

    class Noted(Progress):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            super().on_train_epoch_start(trainer, pl_module)
            assert self.progress is not None
            counted.extend((task.completed, task.total) for task in self.progress.tasks)

    class Resumed(L.Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = 2

    fit(make_module(), 5, Resumed(), Noted(), enable_progress_bar=True)
    assert counted == [(2, 5)]
