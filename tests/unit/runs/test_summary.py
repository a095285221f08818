"""What a training ends with: places that are there, commands that can be run."""

import io
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from rich.console import Console

from hrda_lit.runs.summary import commands, show
from tests.scripts import parsed


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "out puts" / "it's, a run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/last.ckpt", "metrics.csv"):
        (folder / name).touch()
    monkeypatch.chdir(tmp_path)
    return folder


def test_only_what_is_there_is_named_and_no_line_is_broken(run: Path) -> None:
    page = io.StringIO()
    show(OmegaConf.create({"run_dir": str(run)}), None, Console(file=page, width=40))
    said = page.getvalue().splitlines()
    assert said[0] == "in out puts/it's, a run"
    assert [line.split()[0] for line in said[1:3]] == ["checkpoints/last.ckpt", "metrics.csv"]
    assert said[3] == "next"
    assert [line.split()[2] for line in said[4:]] == [
        "hrda_lit.evaluate",
        "hrda_lit.predict",
        "hrda_lit.scripts.compare_networks",
        "hrda_lit.scripts.plot_curves",
    ]


def test_commands_mean_the_files_that_are_there(run: Path) -> None:
    parser = OverridesParser.create()
    evaluate, predict, compare, curves = (shlex.split(line) for line in commands(run, run / "a b.png"))
    for words in (evaluate, predict):
        values = {one.key_or_group: one.value() for one in parser.parse_overrides(words[3:])}
        assert Path(str(values["checkpoint"])) == run / "checkpoints" / "last.ckpt"
    assert Path(str(values["input"])) == Path("out puts/it's, a run/a b.png")
    assert values["save"] == ["label", "overlay", "figure"]
    assert parsed("compare_networks", *compare[3:]).networks == [f"this={run / 'checkpoints' / 'last.ckpt'}"]
    assert parsed("plot_curves", *curves[3:]).folders == [run]
