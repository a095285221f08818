"""Check a composed tree before anything is read: unknown and missing keys, types, ranges."""

import logging
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

from hydra import compose
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hrda_lit.config import messages
from hrda_lit.config.arguments import start_hydra
from hrda_lit.config.values import check, check_names
from hrda_lit.schema.trees import TrainerKeys, TrainKeys
from hrda_lit.system.paths import require_below

log = logging.getLogger(__name__)

# Groups of which something must be chosen, and keys that only a choice sets.
NEEDED = ("source", "network", "method", "optim", "inference", "trainer")
DATASETS = {"source", "target", "val", "dataset", "like"}  # their keys are asked for when they are read
GLOBAL = {"experiment", "setting", "debug", "local"}  # groups whose choices set keys of the root
CHOSEN = {"_target_", "root", "images", "sets"}

# Keys of Lightning that do not apply to several backward passes per step and to draws without epochs: values that
# are allowed all the same, and what to set instead.
INSTEAD: dict[str, tuple[tuple[Any, ...], str]] = {
    "accumulate_grad_batches": ((1,), "a step has several backward passes already; set loading.accumulate"),
    "gradient_clip_val": ((None,), "gradients are clipped once per step; set optim.clip"),
    "gradient_clip_algorithm": ((None, "norm"), "optim.clip clips by norm"),
    "max_epochs": ((None, -1), "draws with replacement have no epochs; set trainer.max_steps"),
    "min_epochs": ((None,), "draws with replacement have no epochs; set trainer.max_steps"),
    "check_val_every_n_epoch": ((None,), "draws with replacement have no epochs; set trainer.val_check_interval"),
    "limit_train_batches": ((None, 1.0), "draws with replacement have no end; set trainer.max_steps"),
    "overfit_batches": ((0, 0.0), "every step draws its own crops; train on a dataset of few files"),
    "reload_dataloaders_every_n_epochs": ((0,), "draws with replacement have no epochs; remove it"),
    "use_distributed_sampler": ((False,), "draws are a function of step and rank already; leave it at false"),
    "barebones": ((False,), "it would turn off all records; scripts/benchmarks measure speed"),
    "enable_checkpointing": ((False,), "callbacks.checkpoint saves; leave it at false"),
    # Others pickle the run, fork it away from its records, or shard weights that the teacher reads whole.
    "strategy": (
        ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"),
        "several devices train by trainer.strategy=ddp",
    ),
    "callbacks": ((None,), "callbacks are a group of their own; use callbacks.<name>"),
    "logger": ((None,), "loggers are a group of their own; use logger=csv, tensorboard, wandb, mlflow or trackio"),
}
# Callbacks of Lightning that need automatic optimisation or epochs.
CALLBACKS = {
    "GradientAccumulationScheduler": "set loading.accumulate",
    "StochasticWeightAveraging": "validate=teacher scores averaged weights",
    "BatchSizeFinder": "set loading.batch_size",
    "LearningRateFinder": "set optim.lr",
}
# Of torchrun, Slurm, LSF and Open MPI: by these Lightning finds the other machines.
CLUSTERS = {"MASTER_ADDR", "SLURM_NTASKS", "LSB_DJOB_RANKFILE", "OMPI_COMM_WORLD_SIZE"}


def compose_train(overrides: Sequence[str], config_dir: str | Path | None = None) -> DictConfig:
    """Compose the config that `hrda_lit.train` would use, and check it."""
    with start_hydra("train", ["run_dir=.", *overrides], config_dir) as (_, words):
        config = compose("train", words)
    check_train(config)
    return config


def check_train(config: DictConfig) -> None:
    """Refuse a tree of conf/train.yaml that does not fit, see `check_tree`."""
    for name in NEEDED:
        if not _is_chosen(config, name):
            raise ValueError(f"missing choice {name}; choose one, or remove {name}=null.")
    for name in ("target", "val"):
        if name in config and not _is_chosen(config, name):
            config[name] = None
    _drop_detail(config)
    trainer = _plain(config, "trainer")
    if isinstance(trainer, Mapping):
        check_trainer(trainer)
    check_tree(config, TrainKeys)
    require_below(config.name, "name")  # of the run's folder
    for part in (config.get("callbacks") or {}).values():
        package, _, name = str(part and part.get("_target_")).rpartition(".")
        if name in CALLBACKS and package.startswith("lightning."):
            raise ValueError(messages.not_allowed("callbacks", name, CALLBACKS[name]))


def _is_chosen(config: DictConfig, name: str) -> bool:
    # Without a choice, an experiment may still have set some keys: val.name, network.detail.overlap.
    node = _plain(config, name) if name in config else None
    if not isinstance(node, Mapping):
        return node is not None
    segmentor = node.get("segmentor", {})
    return bool(CHOSEN & node.keys()) or not isinstance(segmentor, Mapping) or "_target_" in segmentor


def _drop_detail(config: DictConfig) -> None:
    """Remove what an experiment has set of scale attention and detail crop, if the chosen network has none."""
    network = _plain(config, "network")
    attention = network.get("attention", {}) if isinstance(network, Mapping) else None
    if not isinstance(attention, Mapping) or "_target_" in attention:
        return
    with open_dict(config.network):
        for name in ("attention", "detail"):
            if config.network.pop(name, None) is not None:
                log.warning("network.%s has no effect, since the chosen network sees images at one scale", name)


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse values of Lightning's keys that have no effect or do harm here, and absent devices."""
    check_names(trainer, None, ["max_steps"], "trainer")
    for name, hint in get_type_hints(TrainerKeys, include_extras=True).items():
        if name in trainer:
            check(trainer[name], hint, f"trainer.{name}")
    for name, (harmless, instead) in INSTEAD.items():
        if name in trainer and trainer[name] not in harmless:
            raise ValueError(messages.not_allowed(f"trainer.{name}", trainer[name], instead))
    nodes = trainer.get("num_nodes", 1)
    if nodes > 1 and not CLUSTERS & os.environ.keys():
        instead = "this process knows no other machine; start it by Slurm or torchrun, or set MASTER_ADDR and NODE_RANK"
        raise ValueError(messages.not_allowed("trainer.num_nodes", nodes, instead))
    accelerator = trainer.get("accelerator", "auto")
    if accelerator not in ("auto", "cpu") and not _is_present(accelerator):
        instead = "this machine has no such device; set it to auto"
        raise ValueError(messages.not_allowed("trainer.accelerator", accelerator, instead))


def _is_present(accelerator: str) -> bool:
    import torch  # here, so that a wrong value need not wait for it

    if accelerator == "tpu":
        return find_spec("torch_xla") is not None
    return torch.backends.mps.is_available() if accelerator == "mps" else torch.cuda.is_available()


def check_tree(config: DictConfig, tree: Any) -> None:
    """Refuse a composed tree with a key or a value that does not fit.

    Args:
        config: the tree.
        tree: its keys with their types, e.g. `PredictKeys`.

    Raises:
        ValueError: if a key is unknown or missing, or a value is of another type or out of range.
    """
    hints = get_type_hints(tree, include_extras=True)
    # In the tree's order, so that a wrong number is named where it is set and not where it is used.
    names = sorted(map(str, config), key=[*hints, *map(str, config)].index)
    for group in GLOBAL & set(names):
        raise ValueError(f"the file of {group}=... must begin with the line `# @package _global_`; add it.")
    check_names(names, hints, tree.__required_keys__)
    for name in names:
        check(_plain(config, name), hints[name], name)
    for key in OmegaConf.missing_keys(config):
        if not DATASETS & set(key.split(".")[:-1]):
            raise ValueError(messages.missing_key(key))


def _plain(config: DictConfig, name: str) -> Any:
    try:
        if OmegaConf.is_missing(config, name):
            return "???"
        value = config[name]
        whole = isinstance(value, DictConfig | ListConfig)
        return OmegaConf.to_container(value, resolve=True) if whole else value
    except OmegaConfBaseException as error:
        raise ValueError(messages.unresolved(name, error)) from error
