"""Options of one encoder do not reach another one that is named on the command line."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from hrda_lit.config.arguments import rewrite_overrides


def options_of(*arguments: str) -> dict[str, object]:
    read = rewrite_overrides(["run_dir=r", *arguments], "train")
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        return dict(compose("train", read).network.backbone.options)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["experiment=hrda_demo"], {"drop_path_rate", "channels", "stem_width"}),
        (["experiment=hrda_demo", "network.backbone.name=mit_b0"], {"drop_path_rate"}),
        (["experiment=hrda_demo", "network.backbone.name=resnet50"], {"drop_path_rate"}),
        (["experiment=hrda_gta", "debug=smoke", "network.backbone.name=convnext_tiny"], {"drop_path_rate"}),
        (["experiment=hrda_gta", "network.backbone.name=mit_b3"], {"drop_path_rate"}),
        (["network/backbone=resnet101", "network.backbone.name=resnet50c"], {"output_stride"}),
        (["network/backbone=resnet101", "network.backbone.name=mit_b3"], set()),
        (["network/backbone=demo", "network.backbone.name=efficientnet_b0.ra_in1k"], {"drop_path_rate"}),
        (["experiment=methods/hrda_resnet101", "network.backbone.name=resnet50c"], {"output_stride"}),
        (["experiment=methods/hrda_resnet101", "network.backbone.name=mit_b3"], set()),
        (
            ["experiment=hrda_demo", "network.backbone.name=resnet18", "+network.backbone.options.drop_rate=0.1"],
            {"drop_path_rate", "channels", "stem_width", "drop_rate"},
        ),
    ],
)
def test_what_stays(arguments: list[str], kept: set[str]) -> None:
    assert set(options_of(*arguments)) == kept


@pytest.mark.parametrize(
    "swept", [["network.backbone.name=mit_b0", "seed=0,1"], ["network.backbone.name=mit_b0,mit_b1"]]
)
def test_what_stays_in_a_sweep(swept: list[str]) -> None:
    words = rewrite_overrides(["experiment=hrda_demo", *swept], "train")
    assert words[-2:] == ["~network.backbone.options.channels", "~network.backbone.options.stem_width"]


def test_the_state_of_hydra_stays(tmp_path: Path) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        before = GlobalHydra.instance().hydra
        rewrite_overrides(["experiment=hrda_demo", "network.backbone.name=mit_b0"], "train")
        assert GlobalHydra.instance().hydra is before


@pytest.mark.parametrize("arguments", [["experiment=nowhere"], ["nokey=1"]])
def test_what_hydra_refuses_is_left_to_hydra(arguments: list[str]) -> None:
    given = ["network.backbone.name=mit_b0", *arguments]
    assert rewrite_overrides(given, "train")[: len(given)] == given
