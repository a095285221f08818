"""Odd values at every place of a composed tree end in one short sentence, wherever the commands find them."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from hrda_lit import build
from hrda_lit.inspecting.data_check import DataCheck
from hrda_lit.runs.geometry import check_geometry
from hrda_lit.schema.check import check_train, check_tree
from hrda_lit.schema.trees import EvaluateKeys, PredictKeys
from hrda_lit.system.errors import format_error

pytestmark = pytest.mark.slow

ODD: tuple[Any, ...] = (
    None, {}, [], 3, -1, "x", "???", True, "${nowhere}", [None], {"a": {"b": 1}}, {"_target_": "x"}, {"_target_": 3},
    {"_target_": "os.getcwd"}, [{"a": []}], 1.5, "", {3: 4},
)  # fmt: skip
RESERVED = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
TREES = {
    "hrda": ("train", ["experiment=hrda_demo"]),
    "mic": ("train", ["experiment=mic_demo", "logger=tensorboard", "inference=tta"]),
    "sheet": ("inspect", ["experiment=daformer_demo", "method=adversarial"]),
    "evaluate": ("evaluate", ["checkpoint=x", "dataset@val=cityscapes", "data_root=x", "inference=slide"]),
    "predict": ("predict", ["inference=tta", "submission=acdc", "dataset@like=synthia"]),
}
LONGEST = 350


def composed(tree: str) -> tuple[str, dict[Any, Any]]:
    command, overrides = TREES[tree]
    folders = ["cache_dir=cache"] if command == "predict" else ["run_dir=run", "cache_dir=cache"]
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = OmegaConf.to_container(compose(command, [*overrides, *folders]), resolve=True)
    assert isinstance(config, dict)
    return command, config


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every key, and of Hydra's own keys in every group."""
    if isinstance(node, dict):
        for name in {*node, *RESERVED} if path else node:
            yield (*path, name)
        for name, child in node.items():
            yield from places(child, (*path, name))
    elif isinstance(node, list):
        yield from ((*path, index) for index in range(len(node)))


def put(config: Any, path: tuple[Any, ...], value: Any) -> DictConfig:
    tree = copy.deepcopy(config)
    node = tree
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = copy.deepcopy(value)
    made = OmegaConf.create(tree)
    assert isinstance(made, DictConfig)
    return made


def go_through(command: str, config: DictConfig) -> None:
    """Do what a command does before it reads data or a checkpoint."""
    if command == "evaluate":
        check_tree(config, EvaluateKeys)
        DataCheck.of(config)
        for key, node in config.datasets.items():
            build.build_dataset(node, key)
    elif command == "predict":
        check_tree(config, PredictKeys)
    else:
        check_train(config)
        method, _ = build.build_task(config)
        check_geometry(config, method)
        DataCheck.of(config)
        build.build_trainer(config)


def complaint(command: str, config: Any, path: tuple[Any, ...], value: Any) -> str | None:
    """Return what is wrong with how a value is refused, or None."""
    what = f"{'.'.join(map(str, path))}={value!r}"
    try:
        go_through(command, put(config, path, value))
    except (ValueError, OSError) as error:
        said = format_error(error)
        long = len(said) > LONGEST
        return f"{what}: {len(said)} characters: {said[:400]}" if long or "\n" in str(error).strip() else None
    except Exception as error:
        return f"{what}: {type(error).__name__}: {str(error)[:200]}"
    return None


@pytest.mark.parametrize("count", [pytest.param(80, id="some"), pytest.param(1200, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("tree", TREES)
def test_odd_values_are_refused_in_one_short_sentence(
    tree: str, count: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, config = composed(tree)
    cases = [(path, value) for path in places(config) for value in ODD]
    drawn = random.Random(count).sample(cases, min(count, len(cases)))
    complaints = [said for path, value in drawn if (said := complaint(command, config, path, value))]
    assert not complaints, "\n".join(complaints)
