"""Explain in one sentence why Hydra could not compose a config."""

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hrda_lit.config import messages

_KEY = re.compile(r"Could not (?:override|append to config\. An item is already at|delete from config\.) '([^']*)'")
_OVERRIDE = re.compile(r"[+~]*([\w./@]+)=.*", re.DOTALL)
_COMPOSES = "hydra._internal.config_loader_impl"


@contextmanager
def explain_errors(config_name: str, overrides: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra or OmegaConf refuses into one sentence.

    Args:
        config_name: config of the command, e.g. "train".
        overrides: words of the command line, without options.

    Raises:
        ValueError: if the command line or a YAML file does not fit.
    """
    try:
        yield
    except Exception as error:
        modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        if not isinstance(error, HydraException | OmegaConfBaseException) and _COMPOSES not in modules:
            raise
        raise ValueError(_explain(error, config_name, overrides)) from error


def _explain(error: Exception, config_name: str, overrides: Sequence[str]) -> str:
    reason = str(error)
    broken = None if isinstance(error, HydraException) and reason else _explain_file(error)
    if broken is not None:
        return broken
    choice = re.search(r"Could not find '(.+)/([^/']+)'", reason)
    if isinstance(error, MissingConfigException) and choice:
        return messages.unknown_choice(choice[1], choice[2], re.findall(r"^\t(\S+)$", reason, re.MULTILINE))
    several = re.match(r"Ambiguous value for argument '([^']*)'", reason)
    if several:
        return messages.several_values(several[1])
    found = _KEY.match(reason)
    if found is None:
        return f"{messages.as_reason(reason, 250)}; see --help."
    key = found[1]
    if reason.startswith("Could not append"):
        return f"{messages.shorten(key)} exists already; remove the +."
    known = _list_keys(config_name, [text for text in overrides if _key(text) != key])
    if key in known:
        return f"{messages.shorten(key)} is null already; remove the ~."
    return messages.unknown_key(key, known)


def _explain_file(error: Exception) -> str | None:
    """Say which YAML file cannot be read, and where; None for an error of something else."""
    reason = str(error) or str(error.__cause__ or "")  # Hydra may leave it to the cause
    file, mark = _local_of(error, "full_path"), getattr(error, "problem_mark", None)
    if isinstance(error, yaml.MarkedYAMLError) and mark is not None:
        return messages.broken_yaml(mark.name, mark.line + 1, str(error.problem))
    if file or isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        return messages.broken_file(file, reason)
    if isinstance(error, AssertionError | RecursionError) or not reason:
        return messages.broken_file(_local_of(error, "config_path"), reason)
    return None


def _local_of(error: Exception, name: str) -> str:
    """Return the last value of a variable of Hydra, e.g. the YAML file that it was reading."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((str(frame.f_locals[name]) for frame in reversed(frames) if name in frame.f_locals), "")


def _list_keys(config_name: str, overrides: Sequence[str]) -> list[str]:
    """Return the dotted names of a config, without overrides if they do not compose."""
    try:
        config = compose_config(config_name, overrides)
    except HydraException:
        config = compose_config(config_name, ())
    return list(_names(OmegaConf.to_container(config), ""))


def compose_config(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the config of a command line, outside of any run; without its deletions."""
    GlobalHydra.instance().clear()
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        return compose(config_name, [text for text in overrides if _OVERRIDE.fullmatch(text)])


def _names(node: Any, above: str) -> Iterator[str]:
    for key, child in node.items():
        name = f"{above}{key}"
        yield name
        if isinstance(child, dict):
            yield from _names(child, f"{name}.")


def _key(text: str) -> str | None:
    found = _OVERRIDE.fullmatch(text)
    return found and found[1]
