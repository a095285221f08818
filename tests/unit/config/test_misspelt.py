"""What Hydra refuses is one sentence with the nearest name."""

import sys

import pytest

from hrda_lit.train import main

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lamda_d=0.2"], "lamda_d is no key that exists; lambda_d may be meant."),
        (["experiment=hrda_demo", "lr=0.1"], "lr is no key that exists; optim.lr may be meant."),
        (["trainer.max_step=3"], "trainer.max_step is no key that exists; trainer.max_steps may be meant."),
        (["netwrok.backbone.name=x"], "netwrok.backbone.name is no key that exists; network.backbone.name may"),
        (["-m", "lambda_dd=0,1"], "lambda_dd is no key that exists; lambda_d may be meant."),
        (["~nothing"], "nothing is no key that exists; see --help for those there are."),
        (["experiment=hrda_dmo"], "there is no hrda_dmo in experiment; hrda_demo may be meant; it has "),
        (["+seed=3"], "seed exists already and needs no +; leave the + out."),
        (["seed=0,1"], "seed=0,1 has several values; sweep over them with -m, or put a list into brackets."),
        (["dataset@source=4"], "Config group override must be a string or a list."),
    ],
)
def test_sentences(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hrda_lit.train", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert said.startswith(f"error: {sentence}")
    assert said.count("\n") == 1
