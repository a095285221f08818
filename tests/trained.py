"""Checkpoints as training writes them, without the training: random weights, the same for the same experiment."""

from pathlib import Path

import torch
from hydra import compose, initialize_config_module

from hrda_lit.build import build_dataset, build_network, stored_values
from hrda_lit.module import CONFIG_KEY


def write_checkpoint(path: Path, experiment: str, *overrides: str) -> Path:
    """Write student and teacher of an experiment on the demo domains, made tiny.

    Returns:
        `path`.
    """
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        fixed = [f"experiment={experiment}", "debug=smoke", "run_dir=.", "cache_dir=.", "data_root=."]
        config = compose("train", [*fixed, *overrides])
    classes = build_dataset(config.source, "source").classes
    state = {}
    for seed, name in enumerate(("student", "teacher")):
        torch.manual_seed(seed)
        network = build_network(config, classes)
        state |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, CONFIG_KEY: stored_values(config)}, path)
    return path
