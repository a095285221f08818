"""Explain in one sentence why Hydra could not compose a config."""

import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hrda_lit.config import messages
from hrda_lit.system.text import shorten

_KEY = re.compile(r"Could not (?:override|append to config\. An item is already at|delete from config\.) '([^']*)'")
_OVERRIDE = re.compile(r"[+~]*([\w./@]+)=.*", re.DOTALL)
_COMPOSES = "hydra._internal.config_loader_impl"
# Hydra only warns of a callback that fails or a missing folder of configs.
_ONLY_WARNED = (r"Callback \S+ raised", r"provider=hydra\.searchpath")


@contextmanager
def explain_errors(config_name: str, overrides: Sequence[str], traced: bool = False) -> Iterator[None]:
    """Turn what Hydra or OmegaConf refuses into one sentence.

    Args:
        config_name: config of the command, e.g. "train".
        overrides: words of the command line, without options.
        traced: leave errors of Hydra as they are, for their tracebacks.

    Raises:
        ValueError: if the command line or a YAML file does not fit.
    """
    try:
        with warnings.catch_warnings():
            for text in _ONLY_WARNED:
                warnings.filterwarnings("error", text, UserWarning)
            yield
    except Exception as error:
        failed = error.__context__ if isinstance(error, UserWarning) else None  # what a callback raised
        failed = failed if isinstance(failed, Exception) else error
        if traced or not _is_of_hydra(failed):
            raise failed from failed.__cause__
        raise ValueError(_explain(failed, config_name, overrides)) from failed


def _is_of_hydra(error: Exception) -> bool:
    """Return whether Hydra refused something, and not the command, a callback or a job failed."""
    if isinstance(error, HydraException | OmegaConfBaseException) or _is_composing(error):
        return True
    names = [frame.f_globals.get("__name__", "") for frame in _frames(error)]
    packages = [name.partition(".")[0] for name in names]
    if isinstance(error, OSError) or "hydra" not in packages:
        return False
    jobs = any(frame.f_code.co_name == "launch" for frame in _frames(error))
    return not jobs and "hrda_lit" not in packages[packages.index("hydra") :]


def _is_composing(error: Exception) -> bool:
    return any(frame.f_globals.get("__name__") == _COMPOSES for frame in _frames(error))


def _frames(error: Exception) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _explain(error: Exception, config_name: str, overrides: Sequence[str]) -> str:
    reason = str(error)
    broken = None
    if _is_composing(error) and not (isinstance(error, HydraException) and reason):
        broken = _explain_file(error)
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
        return messages.refused(_word_of(error, overrides), error.__cause__ or error)
    return _explain_key(found[1], reason, config_name, overrides)


def _explain_key(key: str, reason: str, config_name: str, overrides: Sequence[str]) -> str:
    """Say why a key cannot be set, added or deleted."""
    if reason.startswith("Could not append"):
        return f"{shorten(key)} exists already; remove the +."
    known = _list_keys(config_name, [text for text in overrides if _key(text) != key])
    if key in known:
        return f"{shorten(key)} is null already; remove the ~."
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


def _word_of(error: Exception, overrides: Sequence[str]) -> str:
    """Return the word of the command line that Hydra was at, or those about Hydra's own keys; "" for none."""
    if _is_composing(error):
        last = [frame for frame in _frames(error) if frame.f_globals.get("__name__", "").startswith("hydra.")][-1]
        return getattr(last.f_locals.get("override"), "input_line", "")
    if isinstance(error, OmegaConfBaseException):  # which names its key
        return ""
    return " ".join(text for text in overrides if re.match(r"[+~]*hydra(?!\.searchpath)", text))


def _local_of(error: Exception, name: str) -> str:
    """Return the last value of a variable of Hydra, e.g. the YAML file that it was reading; "" for none."""
    frames = reversed(_frames(error))
    return next((str(frame.f_locals[name]) for frame in frames if name in frame.f_locals), "")


def _list_keys(config_name: str, overrides: Sequence[str]) -> list[str]:
    """Return the dotted names of a config, without overrides if they do not compose."""
    try:
        config = compose_config(config_name, overrides)
    except HydraException:
        config = compose_config(config_name, ())
    return list(_names(OmegaConf.to_container(config), ""))


def compose_config(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the config of a command line, outside of any run; without its deletions."""
    with find_configs(config_name):
        return compose(config_name, [text for text in overrides if _OVERRIDE.fullmatch(text)])


@contextmanager
def find_configs(config_name: str) -> Iterator[Hydra]:
    """Let Hydra find the library's configs; afterwards it is as before."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("hrda_lit.conf", job_name=config_name, version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            yield hydra
    finally:
        GlobalHydra.instance().hydra = before


def _names(node: Any, above: str) -> Iterator[str]:
    for key, child in node.items():
        name = f"{above}{key}"
        yield name
        if isinstance(child, dict):
            yield from _names(child, f"{name}.")


def _key(text: str) -> str | None:
    found = _OVERRIDE.fullmatch(text)
    return found and found[1]
