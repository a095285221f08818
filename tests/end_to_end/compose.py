"""Composed configs as a user's command line gives them."""

from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from omegaconf import DictConfig


def compose(run_dir: Path, data_root: Path, *overrides: str) -> DictConfig:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        return hydra_compose(
            "train",
            [f"run_dir={run_dir}", f"data_root={data_root}", f"cache_dir={run_dir}/cache", *overrides],
        )


UNSEEN = ("callbacks.pictures.count=0", "callbacks.confusion=null")  # half of the time of such a run is drawing


def smoke(run_dir: Path, demo_root: Path, experiment: str, *overrides: str, pictures: bool = False) -> DictConfig:
    """Any experiment on the tiny demo domains, in seconds; with its pictures if a test looks at them."""
    asked = ("prepare_data=null", *(() if pictures else UNSEEN), *overrides)
    return compose(run_dir, demo_root, f"experiment={experiment}", "debug=smoke", *asked)
