"""Explain in one sentence why Hydra could not compose a config."""

import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hrda_lit.config import messages

_KEY = re.compile(r"Could not (?:override|append to config\. An item is already at|delete from config\.) '([^']*)'")
_OVERRIDE = re.compile(r"[+~]*([\w./@]+)(=.*)?", re.DOTALL)
_COMPOSES = "hydra._internal.config_loader_impl"


def explain(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """Say in one sentence what Hydra refused, and what may be meant.

    Args:
        error: what was raised while a config was composed.
        config_name: config of the command, e.g. "train".
        arguments: words of the command line.
    """
    said, file = str(error), _file_of(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return messages.broken_yaml(error.problem_mark.name, error.problem_mark.line + 1, str(error.problem))
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError) or (file and not isinstance(error, HydraException)):
        return messages.broken_file(file, said)
    if isinstance(error, MissingConfigException) and (choice := re.search(r"Could not find '(.+)/([^/']+)'", said)):
        return messages.unknown_choice(choice[1], choice[2], re.findall(r"^\t(\S+)$", said, re.MULTILINE))
    if several := re.match(r"Ambiguous value for argument '([^']*)'", said):
        return f"{several[1]}: several values; sweep over them with -m, or put a list into brackets."
    if (found := _KEY.match(said)) is None:
        return messages.shorten(" ".join(said.split()).rstrip("."), 250) + "; see --help."
    key = found[1]
    if said.startswith("Could not append"):
        return f"{key} exists already; remove the +."
    return messages.unknown_key(key, [*list_keys(config_name, [text for text in arguments if _key(text) != key])])


def is_from_hydra(error: Exception) -> bool:
    """Return whether Hydra or OmegaConf refused the command line or the config."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return isinstance(error, HydraException | OmegaConfBaseException) or _COMPOSES in modules


def list_keys(config_name: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the dotted names of a composed config; those of the bare one where the arguments do not compose."""
    try:
        config = compose_config(config_name, arguments)
    except HydraException:
        config = compose_config(config_name, ())
    yield from _names(OmegaConf.to_container(config), "")


def compose_config(config_name: str, arguments: Sequence[str]) -> DictConfig:
    """Compose the config of a command line, outside of any run."""
    GlobalHydra.instance().clear()
    folders = [Path(arguments[i + 1]) for i, text in enumerate(arguments[:-1]) if text in ("-cd", "--config-dir")]
    where = [f"hydra.searchpath=[{', '.join(f'file://{folder.resolve()}' for folder in folders)}]"] if folders else []
    flags = {str(folder) for folder in folders}
    overrides = [text for text in arguments if _OVERRIDE.fullmatch(text) and text not in flags and "=" in text]
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        return compose(config_name, [*where, *overrides])


def _names(node: Any, above: str) -> Iterator[str]:
    for key, child in node.items():
        yield (name := f"{above}{key}")
        if isinstance(child, dict):
            yield from _names(child, f"{name}.")


def _key(text: str) -> str | None:
    found = _OVERRIDE.fullmatch(text)
    return None if found is None else found[1]


def _file_of(error: Exception) -> str:
    """Return the YAML file that was read when an error came, or nothing."""
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((str(names["full_path"]) for names in frames if "full_path" in names), "")
