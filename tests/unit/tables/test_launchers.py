"""Launchers and the search compose to what their plugins know."""

import pytest
from hydra import compose, initialize_config_module


@pytest.mark.parametrize(
    ("group", "choice", "target"),
    [
        ("launcher", "processes", "JoblibLauncher"),
        ("launcher", "slurm", "SlurmLauncher"),
        ("launcher", "slurm_local", "LocalLauncher"),
        ("sweeper", "search", "OptunaSweeper"),
    ],
)
def test_choice_composes(group: str, choice: str, target: str) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", [f"hydra/{group}={choice}"], return_hydra_config=True)
    assert config.hydra[group]["_target_"].endswith(target)
