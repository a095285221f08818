import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

from hrda_lit import api
from hrda_lit.config.arguments import read_command_line, rewrite_arguments


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("dataset@val=null", "dataset@val=[]"),
        ("experiment=null", "experiment=[]"),
        ("ckpt_path=null", "ckpt_path=null"),
        ("val=null", "val=null"),
        ("network=hrda", "network=hrda"),
        ("input=my photos/a.png", "input=my photos/a.png"),
        ('input="a [1]/é=1.png"', 'input="a [1]/é=1.png"'),
        ("--config-dir=é[", "--config-dir=é["),
    ],
)
def test_what_hydra_reads(given: str, read: str) -> None:
    assert rewrite_arguments([given]) == [read]
    assert rewrite_arguments(["--config-dir", "a=é["]) == ["--config-dir", "a=é["]


def test_an_empty_dictionary_empties() -> None:
    def options(*arguments: str) -> dict[str, object]:
        with initialize_config_module("hrda_lit.conf", version_base="1.3"):
            return dict(
                compose("train", ["experiment=hrda_demo", *rewrite_arguments(arguments)]).network.backbone.options
            )

    assert options("network.backbone.options={}") == {}
    assert options("network.backbone.options={strict_img_size: false}")["strict_img_size"] is False, "a new key"
    assert options("network.backbone.options={}", "+network.backbone.options={depths: [1]}") == {"depths": [1]}
    assert "stem_width" in options("network.backbone.options={drop_path_rate: 0.2}"), "Hydra's own merging"


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_key_of_inference_needs_no_choice_where_training_has_chosen(command: str) -> None:
    def inference(*arguments: str) -> Any:
        with initialize_config_module("hrda_lit.conf", version_base="1.3"):
            return compose(command, rewrite_arguments(arguments, command)).inference

    assert inference("inference.bf16=true", "inference.window=[64,64]") == {"bf16": True, "window": [64, 64]}
    assert inference("inference=slide", "inference.bf16=true").bf16 is True
    assert inference("inference=null", "inference.bf16=true") == {"bf16": True}
    assert rewrite_arguments(["inference.bf16=true"]) == ["inference.bf16=true"], "training has one to change"


def test_options_may_stand_anywhere() -> None:
    given = ["seed=1", "--config-dir", "mine", "-m", "experiment=x", "--cfg", "job"]
    assert rewrite_arguments(given) == ["--config-dir", "mine", "-m", "--cfg", "job", "seed=1", "experiment=x"]


@pytest.mark.parametrize("value", ["é.png", "a [1].png", "step=1.ckpt", "a:b[.png"])
def test_what_needs_quotes_is_said_and_then_works(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be read; put a value") as caught:
        rewrite_arguments([f"input={value}"])
    assert f"'input=\"{value}\"'" in str(caught.value)
    assert rewrite_arguments([f'input="{value}"']) == [f'input="{value}"']


def test_a_command_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "input=é"])
    with pytest.raises(SystemExit) as caught:
        read_command_line("train")(lambda: pytest.fail("ran"))()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: input=é cannot be read")


def test_the_environment_names_the_folder_of_ones_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("# @package _global_\ntau: 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HRDA_LIT_CONFIG_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="tau=2"):
        api.train("experiment=own")
    found: list[list[str]] = []
    command = read_command_line("train")(lambda: found.append(sys.argv[1:]))
    for words in (["experiment=own"], ["experiment=own", "--config-dir", "other"]):
        monkeypatch.setattr(sys, "argv", ["hrda-train", *words])
        command()
    assert found == [["--config-dir", str(tmp_path), "experiment=own"], ["--config-dir", "other", "experiment=own"]]
