"""From a node of a config to an object, with errors of one sentence that name the key."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf


class ConfigError(ValueError):
    """One sentence: what is wrong with a config and what to do."""


def to_plain(node: DictConfig | ListConfig) -> Any:
    """Return a node as plain containers, resolved."""
    return OmegaConf.to_container(node, resolve=True)


def build_part(node: DictConfig, where: str, partial: bool | None = False, **kwargs: Any) -> Any:
    """Build what a node names.

    Args:
        node: group of keys with a `_target_`.
        where: its key, for errors.
        partial: whether to return a constructor that takes further arguments; None: as the node says.
        kwargs: further arguments.

    Raises:
        ConfigError: if the node does not fit.
        ValueError: what a constructor of this library says.
        OSError: if a file is missing.
    """
    try:
        return instantiate(node, _convert_="all", **({} if partial is None else {"_partial_": partial}), **kwargs)
    except InstantiationException as error:
        cause = error.__cause__
        # Our own constructors say which key it is; those of others know no keys.
        ours = str(node.get("_target_")).startswith("hrda_lit.")
        if isinstance(cause, OSError) or (ours and isinstance(cause, ValueError)):
            raise cause from None
        reason = " ".join(str(cause or error).split()).rstrip(".")
        raise ConfigError(f"{where} does not fit: {reason}; correct {where}.") from error


def build_with(node: DictConfig, where: str, objects: Mapping[str, Any]) -> Any:
    """Build what a node names with objects that no config can hold; for errors see `build_part`."""
    # Through a partial: arguments given to instantiate() itself would be turned into configs.
    return construct(build_part(node, where, partial=True), where, objects)


def construct(make: Any, where: str, keys: Mapping[str, Any]) -> Any:
    """Call a constructor.

    Raises:
        ConfigError: if a key is unknown or missing.
    """
    try:
        return make(**keys)
    except TypeError as error:
        raise ConfigError(f"{where} does not fit: {error}; correct {where}.") from error
