"""Every command that README and docs print composes, with the YAML files that stand beside it, and is understood."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from hrda_lit import api
from hrda_lit.build import build_dataset, build_method, build_network
from hrda_lit.config.arguments import rewrite_overrides
from hrda_lit.runs.geometry import check_geometry
from hrda_lit.schema.check import check_train, check_tree
from hrda_lit.schema.trees import EvaluateKeys, InitKeys, PredictKeys
from tests.documented import Printed, commands, jobs, write_yaml
from tests.scripts import parsed
from tests.street import draw_street

COMMANDS = commands()
CHECKS: dict[str, Callable[[DictConfig], None]] = {
    "hrda_lit.train": check_train,
    "hrda_lit.inspect": check_train,
    "hrda_lit.evaluate": lambda config: check_tree(config, EvaluateKeys),
    "hrda_lit.predict": lambda config: check_tree(config, PredictKeys),
    "hrda_lit.init": lambda config: check_tree(config, InitKeys),
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder `mine` of each page, with what its text says of further files."""
    folders = {page: tmp_path_factory.mktemp(Path(page).stem) for page in ("own_data.md", "measured.md")}
    for page in folders:
        write_yaml(f"docs/{page}", folders[page])
    copied(folders["own_data.md"], "dataset/rendered", "dataset/street", ("rendered", "street"))
    copied(folders["measured.md"], "dataset/carla", "dataset/camvid", ("carla", "camvid"))
    source_only, hrda = "experiment/camvid_source_only", "experiment/camvid_hrda"
    copied(folders["measured.md"], source_only, f"{source_only}_rcs", ("data: { rare_class: null }", ""))
    mic = ("  - /setting: camvid", "  - /setting: camvid\n  - override /method: mic")
    copied(folders["measured.md"], hrda, "experiment/camvid_mic", mic, "method: { masked: { block: 16 } }")
    street = tmp_path_factory.mktemp("street")
    draw_street(street)
    folders["tutorial.md"] = api.init(
        f"source={street}/day", f"target={street}/dusk", f"out={street}/mine", "name=street"
    )
    template = Path(__file__).parents[2] / "conf/dataset/folder.yaml"
    classes = "classes: {names: [road, car], colours: [[128, 64, 128], [0, 0, 142]], things: [car], ignore: 255}"
    for name in ("my_source", "my_target"):
        text = template.read_text().replace("root: ???", f"root: /{name}").replace("classes: ???", classes)
        (folders["own_data.md"] / "dataset" / f"{name}.yaml").write_text(text)
    return folders


def copied(folder: Path, old: str, new: str, change: tuple[str, str], more: str = "") -> None:
    text = (folder / f"{old}.yaml").read_text()
    assert change[0] in text
    (folder / f"{new}.yaml").write_text(text.replace(*change) + more)


def composed(command: Printed, mine: dict[str, Path]) -> list[DictConfig]:
    arguments, where = list(command.arguments), []
    while "--config-dir" in arguments:
        at = arguments.index("--config-dir")
        folder = mine[command.page if command.page in mine else "own_data.md"]
        where = [f"hydra.searchpath=[file://{folder}]"]
        arguments = arguments[:at] + arguments[at + 2 :]
    overrides = tuple(rewrite_overrides([text for text in arguments if text != "-m"], "train"))
    run_dir = [] if command.program in ("hrda_lit.predict", "hrda_lit.init") else ["run_dir=."]
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        name = command.program.removeprefix("hrda_lit.")
        return [
            resolvable(compose(name, [*where, *run_dir, *job], return_hydra_config=True)) for job in jobs(overrides)
        ]


def resolvable(config: DictConfig) -> DictConfig:
    """Answer what the tree asks of Hydra, as a run does, and leave Hydra's part out."""
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    return config


@pytest.mark.slow
@pytest.mark.parametrize("command", [one for one in COMMANDS if one.program in CHECKS], ids=str)
def test_commands(command: Printed, mine: dict[str, Path]) -> None:
    for config in composed(command, mine):
        CHECKS[command.program](config)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.program not in CHECKS], ids=str)
def test_scripts(command: Printed) -> None:
    arguments = parsed(command.program.rpartition(".")[2], *command.arguments)
    assert isinstance(arguments, argparse.Namespace)


def test_they_are_found() -> None:
    count = Counter(command.program for command in COMMANDS)
    scripts = {f"hrda_lit.scripts.{path.stem}" for path in (Path(__file__).parents[2] / "scripts").glob("[a-z]*.py")}
    assert set(CHECKS) | scripts - {"hrda_lit.scripts.experiments_table"} <= set(count)  # which takes no arguments
    assert count["hrda_lit.train"] > 20
    assert count["hrda_lit.evaluate"] > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [[], ["debug=smoke"], ["network.backbone.name=resnet10t", "network.backbone.options={}"]]
)
def test_the_example_of_ones_own_data_makes_a_network(mine: dict[str, Path], more: list[str]) -> None:
    for experiment in ("mine_hrda", "mine_source_only"):
        words = ("--config-dir", "mine", f"experiment={experiment}", "network.backbone.weights=null", "lambda_fd=0")
        [config] = composed(Printed("own_data.md", "hrda_lit.train", (*words, *more)), mine)
        check_train(config)
        classes = build_dataset(config.source, "source").classes
        check_geometry(config, build_method(config, classes))
        with torch.device("meta"):
            network: Any = build_network(config, classes)
        assert network.num_classes == 5


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("experiment=hrda_de", {"experiment=hrda_demo"}),
        ("lambda_", {"lambda_d=", "lambda_fd="}),
        ("network/backbone=mit", {"network/backbone=mit_b5"}),
    ],
)
def test_completion(
    line: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = import_module("hrda_lit.train").main
    monkeypatch.setattr(sys, "argv", ["hrda-train", "-sc", "install=bash"])
    main()
    assert capsys.readouterr().out.strip().endswith("-F hydra_bash_completion hrda-train")
    monkeypatch.setattr(sys, "argv", ["hrda-train", "-sc", "query=bash"])
    monkeypatch.setenv("COMP_LINE", f"hrda-train {line}")
    main()
    assert set(capsys.readouterr().out.split()) == offered
