"""Check a composed tree before anything is read: unknown and missing keys, types, ranges."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hrda_lit.config import messages
from hrda_lit.config.values import check, check_names
from hrda_lit.schema.trainer import check_trainer
from hrda_lit.schema.trees import TrainKeys
from hrda_lit.system.paths import require_below

# Groups of which something must be chosen, and keys that only a choice sets.
NEEDED = ("source", "network", "method", "optim", "inference", "trainer")
DATASETS = {"source", "target", "val", "dataset", "like"}  # their keys are asked for when they are read
GLOBAL = {"experiment", "setting", "debug", "local"}  # groups whose choices set keys of the root
CHOSEN = {"_target_", "root", "images", "sets"}


def check_train(config: DictConfig) -> None:
    """Refuse a tree of conf/train.yaml that does not fit, see `check_tree`."""
    for name in NEEDED:
        if not _is_chosen(config, name):
            raise ValueError(f"missing choice {name}; choose one, or remove {name}=null.")
    for name in ("target", "val"):
        if not _is_chosen(config, name):
            config[name] = None
    trainer = _plain(config, "trainer")
    if isinstance(trainer, Mapping):
        check_trainer(trainer)
    check_tree(config, TrainKeys)
    require_below(config.name, "name")  # of the run's folder


def _is_chosen(config: DictConfig, name: str) -> bool:
    # Without a choice, an experiment may still have set some keys: val.name, network.detail.overlap.
    node = _plain(config, name) if name in config else None
    if not isinstance(node, Mapping):
        return node is not None
    segmentor = node.get("segmentor", {})
    return bool(CHOSEN & node.keys()) or not isinstance(segmentor, Mapping) or "_target_" in segmentor


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
