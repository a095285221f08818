"""From a node of a config to an object, with errors of one sentence that name the key."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from hrda_lit.config import messages


class ConfigError(ValueError):
    """One sentence: what is wrong with a config and what to do."""


def read_choice(group: str, name: str) -> DictConfig:
    """Read the config that `group=name` chooses on a command line, without what it chooses in turn.

    Raises:
        ConfigError: if the choice is unknown.
    """
    folder = files("hrda_lit.conf") / group
    found = sorted(file.name for file in folder.iterdir())
    choices = [file.removesuffix(".yaml") for file in found if file.endswith(".yaml")]
    if name not in choices:
        raise ConfigError(messages.unknown_choice(group, name, choices))
    config = OmegaConf.create((folder / f"{name}.yaml").read_text())
    assert isinstance(config, DictConfig)
    config.pop("defaults", None)
    return config


def to_plain(node: DictConfig | ListConfig) -> Any:
    """Return a node as plain containers, resolved."""
    return OmegaConf.to_container(node, resolve=True)


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a config by their keys as on the command line, e.g. "optim.lr"."""
    if not isinstance(node, Mapping) or not node:
        return {prefix: list(node) if isinstance(node, tuple) else node}
    values: dict[str, Any] = {}
    for name, inner in node.items():
        values |= flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    return values


def build_part(
    node: DictConfig,
    where: str,
    *needs: str,
    partial: bool | None = False,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Build what a node names.

    Args:
        node: group of keys with a `_target_`.
        where: its key, for errors.
        needs: attributes that what is built must have.
        partial: whether to return a constructor that takes further arguments; None: as the node says.
        given: further arguments.

    Raises:
        ConfigError: if the node does not fit, or what it names lacks one of `needs`.
        ValueError: what a constructor of this library says.
        OSError: if a file is missing.
    """
    try:
        options = {} if partial is None else {"_partial_": partial}
        built = instantiate(node, _convert_="all", **options, **(given or {}))
    except InstantiationException as error:
        cause = error.__cause__
        # Our own constructors name the key.
        ours = isinstance(node, DictConfig) and str(node.get("_target_")).startswith("hrda_lit.")
        if isinstance(cause, OSError) or (ours and isinstance(cause, ValueError)):
            raise cause from None
        quoted = [key for key in map(str, node) if f"`{key}`" in str(cause)]  # as Lightning names an argument
        key = f"{where}.{quoted[0]}" if quoted else where
        raise ConfigError(messages.does_not_fit(key, cause or error)) from error
    return require_attributes(built, node, where, needs)


def build_with(node: DictConfig, where: str, objects: Mapping[str, Any], *needs: str) -> Any:
    """Build what a node names with objects that no config can hold; for errors see `build_part`."""
    # Through a partial: arguments given to instantiate() itself would be turned into configs.
    built = construct(build_part(node, where, partial=True), where, objects)
    return require_attributes(built, node, where, needs)


def require_attributes(built: Any, node: DictConfig, where: str, needs: Sequence[str]) -> Any:
    """Return what was built.

    Raises:
        ConfigError: if it lacks one of `needs`.
    """
    for name in needs:
        if not hasattr(built, name):
            key, need = f"{where}._target_", f"a class that has {name}"
            raise ConfigError(messages.wrong_value(key, node._target_, need))
    return built


def construct(make: Any, where: str, keys: Mapping[str, Any]) -> Any:
    """Call a constructor.

    Raises:
        ConfigError: if a key is unknown or missing.
    """
    try:
        return make(**keys)
    except TypeError as error:
        raise ConfigError(messages.does_not_fit(where, error)) from error
