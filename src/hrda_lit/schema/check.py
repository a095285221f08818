"""Check a composed tree before anything is read: unknown and missing keys, types, ranges."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hrda_lit.config import messages
from hrda_lit.config.values import check, check_names
from hrda_lit.schema.trainer import check_trainer
from hrda_lit.schema.trees import EvaluateKeys, InitKeys, PredictKeys, TrainKeys
from hrda_lit.system.paths import require_below

# Groups of which something must be chosen, and keys that only a choice sets.
NEEDED = ("source", "network", "method", "optim", "inference", "trainer")
DATASETS = {"source", "target", "val", "dataset", "like"}  # their keys are asked for when they are read
GLOBAL = {"experiment", "setting", "debug", "local"}  # groups whose choices set keys of the root
CHOSEN = {"_target_", "root", "images", "sets"}


def check_train(config: DictConfig) -> None:
    """Refuse a tree of conf/train.yaml with a key or a value that does not fit.

    Args:
        config: the composed tree.

    Raises:
        ValueError: if a key is unknown or missing, or a value is of another type or out of range.
    """
    for name in NEEDED:
        if not _is_chosen(config, name):
            raise ValueError(f"missing choice {name}; choose one, or remove {name}=null.")
    for name in ("target", "val"):
        if not _is_chosen(config, name):
            config[name] = None
    trainer = _plain(config, "trainer")
    if isinstance(trainer, Mapping):
        check_trainer(trainer)
    plain = _check(config, TrainKeys)
    require_below(plain["name"], "name")  # of the run's folder


def check_evaluate(config: DictConfig) -> None:
    """Refuse a tree of conf/evaluate.yaml, see `check_train`."""
    _check(config, EvaluateKeys)


def check_init(config: DictConfig) -> None:
    """Refuse a tree of conf/init.yaml, see `check_train`."""
    _check(config, InitKeys)


def check_predict(config: DictConfig) -> None:
    """Refuse a tree of conf/predict.yaml, see `check_train`."""
    _check(config, PredictKeys)


def _is_chosen(config: DictConfig, name: str) -> bool:
    # Without a choice, an experiment may still have set some keys: val.name, network.detail.overlap.
    node = _plain(config, name) if name in config else None
    if not isinstance(node, Mapping):
        return node is not None
    segmentor = node.get("segmentor", {})
    return bool(CHOSEN & node.keys()) or not isinstance(segmentor, Mapping) or "_target_" in segmentor


def _check(config: DictConfig, tree: Any) -> dict[str, Any]:
    hints = get_type_hints(tree, include_extras=True)
    # In the tree's order, so that a wrong number is named where it is set and not where it is used.
    names = sorted(map(str, config), key=[*hints, *map(str, config)].index)
    for group in GLOBAL & set(names):
        raise ValueError(f"the file of {group}=... must begin with the line `# @package _global_`; add it.")
    check_names(names, hints, tree.__required_keys__)
    plain: dict[str, Any] = {}
    for name in names:
        plain[name] = _plain(config, name)
        check(plain[name], hints[name], name)
    for key in OmegaConf.missing_keys(config):
        if not DATASETS & set(key.split(".")[:-1]):
            raise ValueError(messages.missing_key(key))
    return plain


def _plain(config: DictConfig, name: str) -> Any:
    try:
        if OmegaConf.is_missing(config, name):
            return "???"
        value = config[name]
        whole = isinstance(value, DictConfig | ListConfig)
        return OmegaConf.to_container(value, resolve=True) if whole else value
    except OmegaConfBaseException as error:
        raise ValueError(messages.unresolved(name, error)) from error
