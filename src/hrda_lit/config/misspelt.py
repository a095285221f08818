"""What Hydra refuses while it composes a config, in one sentence with the nearest name that there is."""

import difflib
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

_KEY = re.compile(r"Could not (?:override|append to config\. An item is already at|delete from config\.) '([^']*)'")
_OVERRIDE = re.compile(r"[+~]*([\w./@]+)(=.*)?", re.DOTALL)


def explained(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """Say what Hydra refused and what is near.

    Args:
        error: that came while a config was composed.
        config_name: of the command, e.g. "train".
        arguments: of the command line.

    Returns:
        One sentence.
    """
    said = str(error)
    if isinstance(error, MissingConfigException) and (choice := re.search(r"Could not find '(.+)/([^/']+)'", said)):
        return _no_choice(choice[1], choice[2], re.findall(r"^\t(\S+)$", said, re.MULTILINE))
    if several := re.match(r"Ambiguous value for argument '([^']*)'", said):
        return f"{several[1]} has several values; sweep over them with -m, or put a list into brackets."
    if (found := _KEY.match(said)) is None:
        return " ".join(said.split()).rstrip(".") + "; see --help."
    key = found[1]
    if said.startswith("Could not append"):
        return f"{key} exists already and needs no +; leave the + out."
    names = sorted(keys(config_name, [text for text in arguments if _key(text) != key]))
    near = nearest(key, names)
    remedy = f"{' or '.join(near)} may be meant" if near else "see --help for those there are"
    return f"{key} is no key that exists; {remedy}."


def is_hydras(error: Exception) -> bool:
    """Return whether Hydra or OmegaConf refused the command line or the config."""
    frames = traceback.walk_tb(error.__traceback__)
    last = [frame.f_globals.get("__name__", "") for frame, _ in frames][-1]
    return isinstance(error, HydraException | OmegaConfBaseException) or (
        isinstance(error, ValueError) and last.startswith("hydra.")
    )


def nearest(name: str, names: Sequence[str], most: int = 1) -> list[str]:
    """Return the names that look most like one, as a whole or by their last part."""
    if close := difflib.get_close_matches(name, names, most, 0.75):
        return close
    parts = difflib.get_close_matches(name.rpartition(".")[2], {other.rpartition(".")[2] for other in names}, 1, 0.75)
    return sorted((other for other in names if other.rpartition(".")[2] in parts), key=len)[:most]


def _no_choice(group: str, choice: str, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(choice, choices, 1)
    remedy = f"{near[0]} may be meant; " if near else ""
    return f"there is no {choice} in {group}; {remedy}it has {', '.join(choices) or 'nothing'}."


def keys(config_name: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the dotted names of a composed config; those of the bare one where the arguments do not compose."""
    try:
        config = composed(config_name, arguments)
    except HydraException:
        config = composed(config_name, ())
    yield from _names(OmegaConf.to_container(config), "")


def composed(config_name: str, arguments: Sequence[str]) -> DictConfig:
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
