import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser

from hrda_lit import api
from hrda_lit.config.arguments import rewrite_overrides, run_hydra
from hrda_lit.train import main


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("dataset@val=null", "dataset@val=[]"),
        ("experiment=null", "experiment=[]"),
        ("ckpt_path=null", "ckpt_path=null"),
        ("val=null", "val=null"),
        ("network=hrda", "network=hrda"),
        ("trainer.strategy=ddp", "++trainer.strategy=ddp"),
        ("logger.wandb.entity=me", "++logger.wandb.entity=me"),
        ("network.backbone.options.output_stride=8", "++network.backbone.options.output_stride=8"),
        ("trainer.max_steps=4,8", "trainer.max_steps=4,8"),
        ("optim.lr=1", "optim.lr=1"),
        ("input=my photos/a.png", "input=my photos/a.png"),
        ('input="a [1]/é=1.png"', 'input="a [1]/é=1.png"'),
    ],
)
def test_what_hydra_reads(given: str, read: str) -> None:
    assert rewrite_overrides([given], "train") == [read]


@pytest.mark.parametrize("given", [["experiment=hrda_demo"], {"experiment": "hrda_demo"}, None, 3])
def test_a_list_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="need texts like"):
        rewrite_overrides([given], "train")


@pytest.mark.parametrize("swept", ["seed=0,1", "s_T=choice(1,2)", "tau=interval(0.9,1)", "network=hrda,daformer"])
def test_new_keys_are_told_from_known_ones_in_a_sweep(swept: str) -> None:
    given = [swept, "trainer.max_steps=4", "trainer.strategy=ddp"]
    assert rewrite_overrides(given, "train") == [*given[:2], "++trainer.strategy=ddp"]


def test_an_empty_dictionary_empties() -> None:
    def options(*arguments: str) -> dict[str, object]:
        with initialize_config_module("hrda_lit.conf", version_base="1.3"):
            return dict(
                compose(
                    "train", ["experiment=hrda_demo", *rewrite_overrides(arguments, "train")]
                ).network.backbone.options
            )

    assert options("network.backbone.options={}") == {}
    assert options("network.backbone.options={strict_img_size: false}")["strict_img_size"] is False, "a new key"
    assert options("network.backbone.options={}", "+network.backbone.options={depths: [1]}") == {"depths": [1]}
    assert "stem_width" in options("network.backbone.options={drop_path_rate: 0.2}"), "Hydra's own merging"


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_key_of_inference_needs_no_choice_where_training_has_chosen(command: str) -> None:
    def inference(*arguments: str) -> Any:
        with initialize_config_module("hrda_lit.conf", version_base="1.3"):
            return compose(command, rewrite_overrides(arguments, command)).inference

    assert inference("inference.bf16=true", "inference.window=[64,64]") == {"bf16": True, "window": [64, 64]}
    assert inference("inference=slide", "inference.bf16=true").bf16 is True
    assert inference("inference=null", "inference.bf16=true") == {"bf16": True}
    assert rewrite_overrides(["inference.bf16=true"], "train") == ["inference.bf16=true"], "training has one to change"


@pytest.fixture
def hydra_words(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return the words that Hydra gets of a command line."""

    def words(*given: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["hrda-train", *given])
        run_hydra(lambda: None, "train")
        return sys.argv[1:]

    return words


def test_options_may_stand_anywhere(hydra_words: Callable[..., list[str]], tmp_path: Path) -> None:
    given = ["seed=1", "--config-dir", str(tmp_path), "-m", "experiment=x", "--cfg", "job"]
    assert hydra_words(*given) == ["--config-dir", str(tmp_path), "-m", "--cfg", "job", "seed=1", "experiment=x"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--config-dr", "x"], "unrecognized arguments: --config-dr; see --help."),
        (["seed=1", "--config-dir"], "argument --config-dir/-cd: expected one argument; see --help."),
        (["--cfg", "jobs"], "argument --cfg/-c: invalid choice: 'jobs'"),
        (["--config-dir", "nowhere"], "no folder at /"),
        (["-cd=nowhere"], "no folder at /"),
        (["--config-dir=file"], "no folder at /"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(
    given: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["hrda-train", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {sentence}")
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize("value", ["é.png", "a [1].png", "step=1.ckpt", "a:b[.png", "사진 (1)/a.png", "~/å"])
def test_a_text_needs_no_quotes(value: str) -> None:
    [word] = rewrite_overrides([f"input={value}"], "predict")
    assert OverridesParser.create().parse_override(word).value() == value


@pytest.mark.parametrize("value", ["[1, 2", "{a: é", "(é", "é,a.png", "${é", "a'é"])
def test_what_needs_quotes_is_said_and_then_works(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be read; close its brackets, or put the value into quotes") as caught:
        rewrite_overrides([f"input={value}"], "predict")
    assert f"'input=\"{value}\"'" in str(caught.value)
    assert rewrite_overrides([f'input="{value}"'], "predict") == [f'input="{value}"']


def test_a_command_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "input=[é"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: input=[é cannot be read")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with an experiment of one's own, in a name that no YAML takes as it is."""
    folder = tmp_path / 'own "x" [é]=${y}'
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "own.yaml").write_text("# @package _global_\ntau: 2\n")
    return folder


def test_the_environment_names_the_folder_of_ones_own_files(
    own: Path, hydra_words: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    for name in (str(own), own.name):
        monkeypatch.setenv("HRDA_LIT_CONFIG_DIR", name)
        assert hydra_words("experiment=own") == ["--config-dir", str(own), "experiment=own"]
        with pytest.raises(ValueError, match="tau=2"):
            api.train("experiment=own")
    other = ["--config-dir", str(own.parent), "experiment=own"]
    assert hydra_words(*other) == other, "the command line goes first"
    monkeypatch.setenv("HRDA_LIT_CONFIG_DIR", "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no folder at /.*nowhere"):
        api.train("experiment=own")
    monkeypatch.setenv("HRDA_LIT_CONFIG_DIR", str(own))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileNotFoundError, match="no folder at /"):
        hydra_words("experiment=own")


def test_the_nearest_key_knows_ones_own_files(own: Path) -> None:
    (own / "experiment" / "own.yaml").write_text("# @package _global_\nnew_part: {depths: 3}\n")
    with pytest.raises(ValueError, match=r"unknown key new_part.depth; did you mean new_part.depths\?"):
        api.train("experiment=own", "new_part.depth=1", config_dir=own)


@pytest.mark.parametrize("before", ["", "--config-dir {} ", "-cd={} ", "experiment=own --config-dir {} "])
def test_shells_complete_names_of_ones_own_files(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text("# @package _global_\ntau: 0.5\n")
    monkeypatch.setattr(sys, "argv", ["hrda-train", "-sc", "query=bash"])
    monkeypatch.setenv("HRDA_LIT_CONFIG_DIR", "" if before else str(tmp_path))
    monkeypatch.setenv("COMP_LINE", f"hrda-train {before.format(tmp_path)}experiment=o")
    main()
    assert "experiment=own" in capsys.readouterr().out.split()
