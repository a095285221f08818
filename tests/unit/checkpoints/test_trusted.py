"""What a config from a file may hold, and what it may name."""

import collections
import re
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from hrda_lit.checkpoints.trusted import BUILDABLE, DECIDES, TRAINING, plain_tree, require_buildable, trusted_part

CONF = Path(__file__).parents[3] / "conf"


def itself() -> list[Any]:
    node: list[Any] = []
    node.append(node)
    return node


def doubling(levels: int) -> list[Any]:
    node: list[Any] = []
    for _ in range(levels):
        node = [node, node]
    return node


class Dressed(dict):  # type: ignore[type-arg]
    """Looks like a dict, and may be more."""


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"a": {"_args_": [1]}}, "the key '_args_'.* at a;"),
        ({"a": [{"_recursive_": False}]}, "the key '_recursive_'.* at a.0;"),
        ({"a": {"_convert_": "all"}}, "the key '_convert_'"),
        ({"a": {"_target_": ["os.mkdir"]}}, r"the _target_ \['os.mkdir'\] with"),
        ({"a": {"_target_": {"_target_": "os.mkdir"}}}, "the _target_ "),
        ({"a": {"_partial_": "yes"}}, "_partial_ 'yes'"),
        ({"a": "${oc.env:HOME}"}, "the interpolation .*at a"),
        ({"a": ["x", {"b": "x${a}"}]}, "the interpolation .*at a.1.b"),
        ({"${a}": 1}, "the interpolation"),
        ({"a": "\x1b[31m"}, "control characters"),
        ({"a": b"x"}, "a bytes, which a config cannot hold"),
        ({"a": (1, 2)}, "a tuple"),
        ({"a": {1, 2}}, "a set"),
        ({"a": torch.zeros(1)}, "a Tensor"),
        ({"a": collections.OrderedDict()}, "an? OrderedDict"),
        ({"a": Dressed()}, "a Dressed"),
        ({1.5: 1}, "a key that is a float"),
        ({True: 1}, "a key that is a bool"),
        ({"a": itself()}, "more than"),
        ({"a": doubling(25)}, "more than"),
        ([1], "is a list, need a mapping"),
        ("x", "is a str, need a mapping"),
        (None, "is a NoneType, need a mapping"),
    ],
)
def test_only_plain_values(node: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"^the config in x\.ckpt .*{sentence}") as caught:
        require_buildable(plain_tree(node, "x.ckpt"), "x.ckpt")
    assert "\n" not in str(caught.value)


def test_what_is_built_from_the_command_line_alone_may_say_more() -> None:
    """A run goes on from its own checkpoint, whatever its user's own YAML files say."""
    tree = {"callbacks": {"mine": {"_target_": "mine.Callback", "_args_": [1], "_convert_": "all"}}, "x": "${y}"}
    assert plain_tree(tree, "x") == tree


def test_plain_values_are_copied() -> None:
    tree = {"a": [1, 2.5, None, True, {"b": "c\nd"}], 7: {}, "_x": "$", "x_": "{}"}
    copy = plain_tree(tree, "x")
    assert copy == tree
    assert copy["a"] is not tree["a"]


PLACES = [*BUILDABLE, "", "source.layout", "val.id_map.7", "network.backbone.options.a.0", "data", "inference.0", "x"]
NAMES = [
    "os.mkdir",
    "hrda_lit.demo.render_demo",
    "torch.load",
    "hrda_lit.networks.heads.DAFormerHead.x",
    "",
    "lightning",
]


def planted(place: str, node: object) -> dict[str, Any]:
    for part in reversed([part for part in place.split(".") if part]):
        node = [node] if part.isdigit() and part == "0" else {part: node}
    assert isinstance(node, dict)
    return node


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("partial", [False, True])
def test_foreign_names_are_refused_everywhere(place: str, name: str, partial: bool) -> None:
    tree = planted(place, {"_target_": name, "path": "x"} | ({"_partial_": True} if partial else {}))
    with pytest.raises(ValueError, match=rf"would build '{re.escape(name)}' as .*HRDA_LIT_TRUST"):
        require_buildable(plain_tree(tree, "x.ckpt"), "x.ckpt")


@pytest.mark.parametrize("place", [*TRAINING, "callbacks.mine", "logger.mine"])
@pytest.mark.parametrize("name", ["os.mkdir", "lightningx.f", "hrda_litx.f"])
def test_also_where_nothing_is_built(place: str, name: str) -> None:
    with pytest.raises(ValueError, match="would build"):
        require_buildable(planted(place, {"_target_": name}), "x")


@pytest.mark.parametrize("place", BUILDABLE)
def test_a_part_is_allowed_in_its_own_place_alone(place: str) -> None:
    for name in BUILDABLE[place]:
        require_buildable(planted(place, {"_target_": name}), "x")
        for other in BUILDABLE:
            if name not in BUILDABLE[other]:
                with pytest.raises(ValueError, match="would build"):
                    require_buildable(planted(other, {"_target_": name}), "x")


def test_a_foreign_config_decides_no_place_and_no_process() -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("train", ["experiment=hrda_demo", "run_dir=run"]))
    config["loading"] |= {"cache": "/etc", "num_workers": 99, "batch_size": 3}
    part = trusted_part(config)
    assert part["loading"] == {"batch_size": 3, "accumulate": 1}
    assert set(part) == {key.partition(".")[0] for key in DECIDES} - {"kind"}
    places = {"cache_dir", "run_dir", "resume", "prepare_data", "trainer", "callbacks", "logger", "memory", "speed"}
    assert not places & set(part)
    part["network"]["head"]["channels"] = 1
    assert config["network"]["head"]["channels"] != 1
    assert trusted_part({"loading": 3, "name": "x"}) == {"name": "x"}


def test_a_user_can_allow_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRDA_LIT_TRUST", "mine.Head, mine.Reader")
    require_buildable({"network": {"head": {"_target_": "mine.Head"}}, "val": {"_target_": "mine.Reader"}}, "x")
    with pytest.raises(ValueError, match=r"mine\.Other"):
        require_buildable({"network": {"head": {"_target_": "mine.Other"}}}, "x")


EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


# Each experiment, and each inference with many of them: the two are stored apart from one another.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "inference"), [*zip(EXPERIMENTS, cycle(["slide", "whole", "tta", "fast"]), strict=False)]
)
def test_what_training_stores_is_allowed(experiment: str, inference: str) -> None:
    fixed = ["run_dir=.", "cache_dir=.", "data_root=."]
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", f"inference={inference}", *fixed])
    stored = OmegaConf.to_container(config, resolve=True)
    read = plain_tree(stored, "x")
    assert read == stored
    require_buildable(read, "x")


def test_every_name_in_conf_is_known() -> None:
    named = set(re.findall(r"_target_: (\S+)", "\n".join(path.read_text() for path in CONF.rglob("*.yaml"))))
    own = {
        name
        for name in named
        if not name.startswith(
            ("lightning.", "hrda_lit.training.", "hrda_lit.dashboards.", "hrda_lit.tables.", "hrda_lit.runs.")
        )
    }
    assert own - {"hrda_lit.demo.render_demo"} <= set().union(*BUILDABLE.values())
    assert yaml.safe_load((CONF / "train.yaml").read_text())["prepare_data"] is None
